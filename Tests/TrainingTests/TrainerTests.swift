import Checkpoints
import Conversion
import Evaluation
import Foundation
import Models
import Tensors
import TestSupport
import Testing
import Tokenizers
import Training

@Suite("Training a tiny model")
struct TrainerTests {
    @Test(
        "every stage lowers its loss", arguments: StageConfiguration.Kind.allCases.filter { $0 != .select },
        [DType.float32, .bfloat16])
    func lossFalls(_ kind: StageConfiguration.Kind, dtype: DType) throws {
        let run = try TinyRun("\(kind.rawValue)=2560", dtype: dtype)
        run.eachStage { $0.schedule.peak = 3e-3 }
        let record = try run.train()
        #expect(record.losses.count == 80 && record.isComplete)
        let (first, last) = (record.losses.prefix(10).reduce(0, +) / 10, record.losses.suffix(10).reduce(0, +) / 10)
        let factor = kind == .align ? 0.85 : 0.8
        #expect(first.isFinite && last < factor * first, "\(kind): \(first) to \(last)")
        #expect(record.measurements.count == 2)
        // The teacher is random: to be like it is not to know the text.
        #expect(kind != .finetune || record.measurements[1].loss < record.measurements[0].loss)
        let names = try run.changed("run/student")
        #expect(!names.isEmpty)
        #expect(kind != .align || names.allSatisfy { $0.contains("self_attn") }, "\(names)")
        let stored = try SafetensorsCheckpoint(path: run.path("run/student")).tensors
        #expect(stored.allSatisfy { $0.format.dtype == ($0.shape.count < 2 ? .float32 : dtype) })
    }

    @Test("a quantised model is refused, and the parameter named", arguments: [DType.q8, .q4])
    func quantised(_ dtype: DType) throws {
        var configuration = try ModelConfiguration(ModelFiles.open(Fixtures.path("teacher")).configuration)
        configuration.decoder.hiddenSize = 32
        let rules = try DecoderModel.rules(configuration)
        var weights: [String: Tensor] = [:]
        for rule in rules { weights[rule.name] = try .zeros(rule.shape) }
        #expect(throws: Never.self) { try TrainableModel(configuration, weights: weights) }
        let rule = try #require(rules.first { $0.shape.count == 2 && $0.shape[1] % 32 == 0 })
        weights[rule.name] = try .zeros(rule.shape, dtype)
        let error = #expect(throws: TensorError.self) { try TrainableModel(configuration, weights: weights) }
        let expected = "training: \(rule.name) has type \(dtype.rawValue), expected a type that is not quantised"
        #expect(error?.description.hasPrefix(expected) == true, "\(String(describing: error))")
    }

    @Test("what a run tells, and in which order")
    func events() throws {
        let run = try TinyRun("align=96,distil=64,finetune=64")
        (run.configuration.validation.every, run.configuration.checkpoints.every) = (2, 2)
        let record = try run.train()
        let names = record.events.map { event in
            switch event {
            case .started(let done, let total): "started \(done) \(total)"
            case .planned(let plans): "planned \(plans.count)"
            case .step(let step): "step \(step.step) \(step.stage) \(step.stageStep)/\(step.stageSteps) \(step.tokens)"
            case .alignment(let step, let layers): "layers \(step) \(layers.keys.sorted())"
            case .measured(let measurement): "measured \(measurement.step) \(measurement.tokens)"
            case .noticed(let notice): "\(notice.kind)"
            case .asking(let questions): "asking \(questions.kinds.count)"
            case .selecting(let done, let total): "selecting \(done)/\(total)"
            case .selected(let result, let step, _): "selected \(result.keepAttention) \(step)"
            case .saved(let step, _): "saved \(step)"
            case .stageEnded(let kind, let step): "end of \(kind) \(step)"
            case .warning(let text): text
            case .ended(let complete): "ended \(complete)"
            }
        }
        #expect(
            names == [
                "started 0 7", "measured 0 0", "step 1 align 1/3 32", "step 2 align 2/3 64", "layers 2 [0, 1]",
                "measured 2 64", "saved 2", "step 3 align 3/3 96", "layers 3 [0, 1]", "measured 3 96",
                "end of align 3", "saved 3", "step 4 distil 1/2 128", "measured 4 128", "saved 4",
                "step 5 distil 2/2 160", "measured 5 160", "end of distil 5", "saved 5", "step 6 finetune 1/2 192",
                "measured 6 192", "saved 6", "step 7 finetune 2/2 224", "measured 7 224", "end of finetune 7",
                "saved 7",
                "ended true",
            ])
        for step in record.steps {
            let stage = run.configuration.stages.first { $0.kind == step.stage }
            #expect(step.learningRate == stage?.schedule.rate(step: step.stageStep, of: step.stageSteps))
            #expect(step.gradientNorm ?? 0 > 0 && step.skipped == 0 && step.tokensPerSecond > 0)
        }
        let last = record.events.compactMap { event -> [Int: Double]? in
            if case .alignment(3, let layers) = event { layers } else { nil }
        }
        #expect(last.count == 1 && abs(record.losses[2] - last[0].values.reduce(0, +) / 2) < 1e-12)
        #expect(Set(try FileManager.default.contentsOfDirectory(atPath: run.path("run/checkpoints"))).count == 2)
        #expect(try TrainingConfiguration(path: run.path("run/config.yaml")) == run.configuration)
    }

    @Test("both models that a run leaves are models like any other")
    func students() throws {
        let run = try TinyRun("distil=320")
        run.configuration.validation.every = 3
        // So that the untrained student is not the best.
        run.eachStage { $0.schedule.peak = 5e-3 }
        let record = try run.train()
        let best = record.measurements.filter { $0.step > 0 }.min { $0.loss < $1.loss }
        for name in ["best", "student"] {
            let path = run.path("run/\(name)")
            let tokenizer = try Tokenizer(files: TokenizerFiles(directory: URL(fileURLWithPath: path)))
            let text = seededDocuments(3, seed: 9).joined(separator: "\n")
            let perplexity = try Perplexity.measure(
                DecoderModel.load(path), tokenizer: tokenizer, text: text, window: 32)
            #expect(perplexity.perplexity > 1 && perplexity.perplexity.isFinite)
            #expect(FileManager.default.fileExists(atPath: "\(path)/config.json"))
        }
        #expect(best?.isBest == true)
        #expect(try run.changed("run/best", from: "run/student").isEmpty == (best?.step == record.steps.count))
    }

    @Test("a window longer than what is read at once is one text all the same")
    func longWindow() throws {
        let run = try TinyRun("distil=320")
        let path = run.path("model")
        let tokenizer = try Tokenizer(files: TokenizerFiles(directory: URL(fileURLWithPath: path)))
        let model = try DecoderModel.load(path)
        let text = seededDocuments(400, seed: 9).joined(separator: "\n")
        let tokens = Array(try tokenizer.encode(text, addSpecialTokens: false).prefix(9001))
        try #require(tokens.count == 9001)
        let prefix = tokenizer.textPrefix
        let losses = Array(try model.negativeLogLikelihood([prefix + tokens]).dropFirst(prefix.count))
        let found = try Perplexity.measure(model, tokenizer: tokenizer, text: text, window: 9000, limit: 1)
        #expect(found.tokens == 9000 && found.tenths.last == 8100..<9000)
        for (range, position) in zip(found.tenths, stride(from: 0, to: 9000, by: 900)) {
            let expected = exp(losses[position..<position + 900].reduce(0) { $0 + Double($1) } / 900)
            #expect(abs(found.perplexity(at: range) / expected - 1) < 1e-4)
        }
        var rounded = model
        rounded.cacheType = .codes
        let other = try Perplexity.measure(rounded, tokenizer: tokenizer, text: text, window: 1000, limit: 2)
        let exact = try Perplexity.measure(model, tokenizer: tokenizer, text: text, window: 1000, limit: 2)
        #expect(other.totalLoss != exact.totalLoss && abs(other.perplexity / exact.perplexity - 1) < 0.01)
    }

    // MARK: Parameters

    @Test func freezing() throws {
        let run = try TinyRun("finetune=64")
        run.eachStage { $0.freeze = ["model.embed*", "*.layers.0.*", "*norm.weight"] }
        try run.train()
        let names = try run.changed("run/student")
        let expected = try run.parameters("model").keys.filter { name in
            name.hasPrefix("model.layers.1.") && !name.hasSuffix("norm.weight")
        }
        #expect(names == Set(expected))
    }

    @Test("parameters that conversion made have a rate of their own")
    func newParameters() throws {
        let run = try TinyRun("align=64,distil=64")
        run.eachStage { $0.newParameterRate = 0 }
        try run.train()
        #expect(try run.changed("run/student").allSatisfy { !$0.contains("gate_proj") || $0.contains("mlp") })
        #expect(try run.changed("run/student").contains("model.layers.0.self_attn.q_proj.weight"))
    }

    @Test("align may train a few layers at a time")
    func layersAtOnce() throws {
        let run = try TinyRun("align=64")
        run.eachStage { $0.layersAtOnce = 1 }
        let record = try run.train()
        #expect(record.losses.count == 4)
        #expect(Set(try run.changed("run/student").map { $0.contains("layers.0") }) == [true, false])
    }

    @Test("clipping bounds the norm of all gradients together")
    func clipping() throws {
        // With epsilon 1 a first step of small gradients is rate · gradient.
        var moved: [Double] = []
        var norms: [Double?] = []
        for clip in [nil, 1e-3, 2e-3] {
            let run = try TinyRun("finetune=32")
            run.eachStage {
                ($0.optimiser.clip, $0.optimiser.epsilon, $0.optimiser.weightDecay) = (clip, 1, 0)
                ($0.schedule.course, $0.schedule.peak) = (.constant, 1)
            }
            norms += try run.train().steps.map(\.gradientNorm)
            let (before, after) = (try run.parameters("model"), try run.parameters("run/student"))
            let squares = try before.reduce(0.0) { sum, entry in
                let values = try after[entry.key]?.array(Float.self) ?? []
                return zip(try entry.value.array(Float.self), values).reduce(sum) { sum, pair in
                    sum + Double(pair.0 - pair.1) * Double(pair.0 - pair.1)
                }
            }
            moved.append(squares.squareRoot())
        }
        #expect(norms.allSatisfy { $0 == norms[0] && $0 ?? 0 > 0.01 }, "\(norms): before clipping")
        #expect(abs(moved[1] - 1e-3) < 2e-5 && abs(moved[2] - 2e-3) < 4e-5, "\(moved)")
        #expect(moved[0] > 0.01)
    }

    @Test("layers that are computed again change no loss and no weight")
    func recomputation() throws {
        var losses: [[Double]] = []
        var students: [Data] = []
        for memory in [2_000_000_000, 0] {
            let run = try TinyRun("distil=96,finetune=96")
            run.configuration.activationMemory = memory
            losses.append(try run.train().losses)
            students.append(try run.bytes("run/student/model.safetensors"))
        }
        #expect(losses[0] == losses[1] && students[0] == students[1])
    }

    // MARK: Refusals

    private func expectRefusal(
        _ parts: String..., location: SourceLocation = #_sourceLocation, _ change: (TinyRun) throws -> Void
    ) throws {
        let run = try TinyRun("align=64")
        try change(run)
        let error = #expect(throws: (any Error).self, sourceLocation: location) { try run.train() }
        let text = error.map { "\($0)" } ?? ""
        for part in parts { #expect(text.contains(part), "\(text)", sourceLocation: location) }
        #expect(!FileManager.default.fileExists(atPath: run.path("run")), sourceLocation: location)
    }

    @Test("settings that cannot be run leave nothing behind")
    func settings() throws {
        try expectRefusal("seed", "-1") { $0.configuration.seed = -1 }
        try expectRefusal("length", "1") { $0.configuration.length = 1 }
        try expectRefusal("teacher", "stage align") { $0.configuration.teacher = nil }
        try expectRefusal("data.train") { $0.configuration.data.train = [] }
        try expectRefusal("stages") { $0.configuration.stages = [] }
        try expectRefusal("stage align", "0 × 1 × 16") { $0.eachStage { $0.sequences = 0 } }
        try expectRefusal("stage align", "tokens") {
            $0.eachStage { ($0.sequences, $0.accumulation) = (1 << 40, 1 << 40) }
        }
        try expectRefusal("stage align", "parameters to train") { $0.eachStage { $0.freeze = ["*"] } }
        try expectRefusal("stage align", "parameters to train") {
            var options = ConversionOptions()
            options.keptAttention = [0, 1]
            _ = try Converter(ModelFiles.open($0.path("teacher")), options: options).run(output: $0.path("kept"))
            $0.configuration.model = $0.path("kept")
        }
        try expectRefusal("missing") { $0.configuration.teacher = $0.path("missing") }
        try expectRefusal("tokens", "needed") { $0.configuration.length = 1 << 20 }
        let other = Fixtures.folder.deletingLastPathComponent().path + "/ModelsTests/Fixtures/llama-tied"
        try expectRefusal(other, "hidden size 16", "hidden size 48") { $0.configuration.teacher = other }
    }

    // MARK: Gradients that are not finite

    /// Makes a value of the model's parameter `name` not a number.
    private func damage(_ run: TinyRun, _ name: String) throws {
        var parameters = try run.parameters("model")
        try parameters[name]?.withMutable(Float.self) { $0[0] = .nan }
        try run.write(parameters, to: "model")
    }

    @Test("are left out and counted, and end the run")
    func notFinite() throws {
        let run = try TinyRun("finetune=320")
        run.configuration.patience = 3
        run.eachStage { $0.freeze = ["model.embed*"] }
        try damage(run, "model.layers.1.mlp.up_proj.weight")
        var record = TinyRun.Record()
        let error = #expect(throws: TrainingError.self) {
            let folder = try RunFolder(path: run.path("run"), model: run.configuration.model, resuming: false)
            try TrainingRun(run.configuration, folder: folder, resuming: false) { _ in { _, _ in } }
                .train { record.events.append($0) }
        }
        #expect(
            error
                == .diverged(
                    step: 3, count: 3, parameter: "model.layers.0.input_layernorm.weight", checkpoint: nil))
        #expect(record.steps.map(\.skipped) == [1, 2])
        #expect(record.steps.allSatisfy { $0.gradientNorm == nil && !$0.loss.isFinite })
        #expect(record.measurements.allSatisfy { !$0.isBest })
    }

    @Test("leave the last checkpoint as it was")
    func explosion() throws {
        let run = try TinyRun("finetune=96,finetune=320")
        run.configuration.patience = 2
        run.configuration.stages[1].schedule.peak = 1e38
        var record = TinyRun.Record()
        let error = #expect(throws: TrainingError.self) {
            let folder = try RunFolder(path: run.path("run"), model: run.configuration.model, resuming: false)
            try TrainingRun(run.configuration, folder: folder, resuming: false) { _ in { _, _ in } }
                .train { record.events.append($0) }
        }
        guard case .diverged(_, 2, _?, let checkpoint?) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(checkpoint.hasSuffix("checkpoints/step-00000003"))
        #expect(record.steps.last?.skipped == 1)
        // The checkpoint is whole: the run goes on from it, and to the same end.
        let again = #expect(throws: TrainingError.self) {
            let folder = try RunFolder(path: run.path("run"), model: run.configuration.model, resuming: true)
            try TrainingRun(run.configuration, folder: folder, resuming: true) { _ in { _, _ in } }.train { _ in }
        }
        #expect(again == error)
    }
}

extension TinyRun {
    /// Replaces the weights of a model.
    func write(_ parameters: [String: Tensor], to name: String) throws {
        let order = try SafetensorsCheckpoint(path: path(name)).tensors.map(\.name)
        try FileManager.default.removeItem(atPath: path("\(name)/model.safetensors"))
        let tensors = order.compactMap { name in parameters[name].map { (name: name, tensor: $0) } }
        let writer = try SafetensorsWriter(
            directory: path(name), tensors: tensors.map { ($0.name, $0.tensor.shape, $0.tensor.dtype) })
        for (_, tensor) in tensors { try writer.append(tensor) }
        try writer.finish()
    }
}
