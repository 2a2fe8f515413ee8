import Checkpoints
import Foundation
import Models
import Tensors
import TestSupport
import Testing
import Training

@Suite("Stages that train low-rank adapters")
struct AdapterTests {
    /// - Parameter ranks: of the stages' adapters.
    private func makeRun(_ stages: String, ranks: [Int], dtype: DType = .float32) throws -> TinyRun {
        let run = try TinyRun(stages, dtype: dtype)
        for (index, rank) in ranks.enumerated() { run.configuration.stages[index].lowRank.rank = rank }
        run.eachStage { ($0.sequences, $0.accumulation, $0.schedule.peak) = (1, 2, 2e-3) }
        return run
    }

    @Test(
        "lower the loss and change what they are meant for, to the last bit nothing else",
        arguments: [DType.float32, .bfloat16])
    func targets(_ dtype: DType) throws {
        let run = try makeRun("distil=2560", ranks: [4], dtype: dtype)
        // What conversion made stands still too, so that what is learned is the adapters'.
        run.eachStage {
            ($0.newParameterRate, $0.lowRank.targets) = (0, ["*.q_proj", "*.o_proj", "*.mlp.*"])
            $0.freeze = ["*.layers.0.mlp.down_proj.*"]
        }
        run.configuration.validation.every = 10
        let record = try run.train()
        let (first, last) = (record.losses.prefix(10).reduce(0, +) / 10, record.losses.suffix(10).reduce(0, +) / 10)
        #expect(record.isComplete && last < 0.95 * first, "\(first) to \(last)")
        let maps = (0..<2).flatMap { layer in
            ["self_attn.q_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"]
                .map { "model.layers.\(layer).\($0).weight" }
        }
        let expected = Set(maps.filter { !$0.contains("layers.0.mlp.down_proj") })
        #expect(try run.changed("run/student") == expected)
        #expect(try run.changed("run/best") == expected)
        let stored = try SafetensorsCheckpoint(path: run.path("run/student")).tensors
        #expect(stored.allSatisfy { $0.format.dtype == ($0.shape.count < 2 ? .float32 : dtype) })
    }

    @Test("the best student, written before the stage's end, has them in its weights as the last one has")
    func best() throws {
        let run = try makeRun("finetune=640", ranks: [8])
        let record = try run.train()
        #expect(record.measurements.last?.isBest == true)
        #expect(try run.changed("run/best", from: "run/student").isEmpty)
        #expect(try run.changed("run/student").contains("model.layers.0.mlp.up_proj.weight"))
    }

    @Test(
        "stopped anywhere, they go on to the bit, and so does the full stage behind them",
        arguments: [DType.float32, .bfloat16])
    func resume(_ dtype: DType) throws {
        let run = try makeRun("align=64,distil=96,finetune=96,finetune=64", ranks: [0, 2, 4, 0], dtype: dtype)
        (run.configuration.validation.every, run.configuration.checkpoints.every) = (2, 1)
        let whole = try run.train("whole")
        #expect(whole.losses.count == 10 && whole.isComplete)
        for index in whole.events.indices {
            let name = "stopped-\(index)"
            let first = try run.train(name, stop: index)
            let second = try run.train(name, resuming: true)
            #expect(second.isComplete && first.losses + second.losses == whole.losses, "event \(index)")
            for file in ["best/model.safetensors", "student/model.safetensors"] {
                #expect(try run.bytes("\(name)/\(file)") == run.bytes("whole/\(file)"), "event \(index): \(file)")
            }
        }
    }

    @Test("the stage behind them begins with the merged weights")
    func followed() throws {
        // At a rate of zero it leaves them as they are.
        let run = try makeRun("distil=96,finetune=64", ranks: [2, 0], dtype: .bfloat16)
        run.configuration.stages[1].schedule.peak = 0
        try run.train("both")
        run.configuration.stages.removeLast()
        try run.train("alone")
        #expect(try run.changed("both/student", from: "alone/student").isEmpty)
        #expect(try run.changed("alone/student").contains("model.layers.1.self_attn.k_proj.weight"))
    }

    @Test("a checkpoint holds adapters, their means and what was merged, and no master of a matrix beside an adapter")
    func checkpoint() throws {
        let run = try makeRun("distil=64,finetune=64", ranks: [2, 2], dtype: .bfloat16)
        run.eachStage { $0.lowRank.targets = ["*.q_proj", "*.up_proj"] }
        run.configuration.checkpoints.every = 1
        let files = try ModelFiles.open(run.path("model")), configuration = try ModelConfiguration(files.configuration)
        let rules = try DecoderModel.rules(configuration)
        let maps = LowRankAdapter.maps(rules, of: configuration).filter {
            $0.name.hasSuffix(".q_proj.weight") || $0.name.hasSuffix(".up_proj.weight")
        }
        let trained =
            rules.filter(TrainableModel.isNew).map(\.name)
            + maps.flatMap { rule in
                let names = LowRankAdapter.names(of: String(rule.name.dropLast(".weight".count)))
                return [names.down, names.up]
            }
        try run.train("run", stop: whereSaved(3, run))
        func tensors(_ step: Int) throws -> Set<String> {
            Set(try SafetensorsCheckpoint(path: run.path("run/checkpoints/step-0000000\(step)")).tensors.map(\.name))
        }
        let stage = Set(trained.flatMap { name in ["master", "first", "second"].map { "\($0).\(name)" } })
        #expect(try tensors(3) == stage.union(maps.map { "weight.\($0.name)" }))
        let ended = Set(rules.filter(TrainableModel.isNew).map { "master.\($0.name)" })
        #expect(try tensors(2) == ended.union(maps.map { "weight.\($0.name)" }))
    }

    /// The event by which the checkpoint of `step` is there.
    private func whereSaved(_ step: Int, _ run: TinyRun) throws -> Int {
        let events = try run.train("events").events
        return try #require(events.firstIndex { if case .saved(step, _) = $0 { true } else { false } })
    }

    @Test("B learns at α / r times the rate of A, both by that of their matrix")
    func rates() throws {
        for (alpha, factor) in [(nil, 2.0), (1.0, 0.25)] as [(Double?, Double)] {
            let run = try makeRun("finetune=64", ranks: [4])
            run.configuration.checkpoints.every = 1
            run.eachStage {
                ($0.schedule.course, $0.schedule.peak, $0.schedule.warmUpSteps) = (.constant, 1e-3, 0)
                ($0.optimiser.weightDecay, $0.optimiser.epsilon, $0.lowRank.alpha) = (0, 1e-30, alpha)
                $0.lowRank.rate = 5
            }
            try run.train("run", stop: whereSaved(1, run))
            let checkpoint = try SafetensorsCheckpoint(path: run.path("run/checkpoints/step-00000001"))
            func values(_ name: String) throws -> [Float] {
                try checkpoint.load("master.model.layers.1.mlp.up_proj.\(name).weight", as: .float32).array()
            }
            // The first step of Adam's changes every element by the rate; A's gradient is zero as long as B is.
            let moved = try values("lora_B").map { Double(abs($0)) }.sorted()
            #expect(abs(moved[moved.count / 2] / (1e-3 * 5 * factor) - 1) < 0.02, "\(moved[moved.count / 2])")
            let down = try values("lora_A"), limit = 1 / Float(16).squareRoot()
            #expect(
                down.count == 4 * 16 && down.allSatisfy { abs($0) <= limit } && down.contains { abs($0) > 0.8 * limit })
        }
    }

    // MARK: Refusals

    @Test("what cannot be adapted is refused before anything is made")
    func refusals() throws {
        let run = try makeRun("align=32,distil=32", ranks: [0, 2])
        func expectRefusal(_ expected: String, _ change: (inout StageConfiguration) -> Void, stage: Int = 1) throws {
            let before = run.configuration
            change(&run.configuration.stages[stage])
            let error = #expect(throws: TrainingError.self) { try run.train() }
            #expect(error.map { "\($0)" } == expected)
            #expect(!FileManager.default.fileExists(atPath: run.path("run")))
            run.configuration = before
        }
        try expectRefusal(
            "stage align: lora_rank: expected 0; only distil and finetune have adapters, found 3",
            { $0.lowRank.rank = 3 },
            stage: 0)
        try expectRefusal("stage distil: lora_rank: expected 0 to 65536, found -1") { $0.lowRank.rank = -1 }
        try expectRefusal("stage distil: lora_alpha: expected 1e-06 to 1000000.0, found -2.0") { $0.lowRank.alpha = -2 }
        try expectRefusal("stage distil: lora_rate: expected 0.0 to 1000.0, found nan") { $0.lowRank.rate = .nan }
        try expectRefusal("stage distil: lora_targets: expected at least one name of a linear map, found none") {
            $0.lowRank.targets = []
        }
        try expectRefusal(
            "stage distil: lora_targets: expected a linear map of reused weights, such as '*.q_proj', in which * stands for "
                + "anything, found '*.embed_tokens'"
        ) { $0.lowRank.targets = ["*.q_proj", "*.embed_tokens"] }
        try expectRefusal(
            "stage distil: lora_rank: expected at most 8, the rank of 'model.layers.0.self_attn.k_proj' [8, 16], found 9"
        ) { $0.lowRank.rank = 9 }
        #expect(throws: Never.self) { try run.train() }
    }

    @Test("options of a command go to every stage that may have adapters")
    func options() throws {
        var configuration = TrainingConfiguration()
        configuration.stages = try StageConfiguration.list("align=1k,distil=1k,finetune=1k")
        try configuration.adapt(rank: 8, alpha: 4, targets: ["*.q_proj"])
        #expect(configuration.stages.map(\.lowRank.rank) == [0, 8, 8])
        #expect(configuration.stages.map(\.lowRank.alpha) == [nil, 4, 4])
        #expect(configuration.stages[2].lowRank.targets == ["*.q_proj"])
        configuration.stages.removeLast(2)
        let error = #expect(throws: TrainingError.self) { try configuration.adapt(rank: 8, alpha: nil, targets: []) }
        #expect(
            error?.description
                == "loraRank: expected a stage distil or finetune, which alone have adapters, found align")
    }
}
