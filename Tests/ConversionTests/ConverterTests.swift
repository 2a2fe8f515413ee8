import Checkpoints
import Conversion
import Foundation
import Models
import Tensors
import TestSupport
import Testing

@Suite("Conversion")
struct ConverterTests {
    private func options(_ profile: GatedSlotAttention.Profile, window: Int? = nil) -> ConversionOptions {
        var options = ConversionOptions()
        (options.profile, options.slots, options.window) = (profile, 12, window)
        return options
    }

    private func bytes(_ path: String) throws -> Data { try Data(contentsOf: URL(fileURLWithPath: path)) }

    @Test("every tensor of the target is planned, and every one of the source accounted for")
    func plan() throws {
        let source = try SourceModel("llama-tied")
        let plan = try Converter(ModelFiles.open(source.path), options: options(.softmaxPreserving, window: 8)).plan
        let names = plan.entries.map(\.name)
        #expect(Set(names).count == names.count)
        let fresh = plan.entries.filter { if case .initialised = $0.action { true } else { false } }.map(\.name)
        let expected = (0..<2).flatMap { layer in
            ["gate_proj.weight", "gate_proj.bias", "window_proj.weight", "window_proj.bias"].map {
                "model.layers.\(layer).self_attn.\($0)"
            }
        }
        #expect(Set(fresh) == Set(expected))
        let sourceNames = try SafetensorsCheckpoint(path: source.path).tensors.map(\.name)
        #expect(Set(names.filter { !fresh.contains($0) } + plan.dropped.map(\.name)) == Set(sourceNames))
        let report = ConversionReport(plan)
        #expect(report.reused.parameters + report.initialised.parameters == report.targetParameters)
        #expect(abs(report.reused.percent + report.initialised.percent - 100) < 1e-9)
        #expect(report.summary.contains("model.layers.*.self_attn.gate_proj.bias × 2"))
    }

    @Test(
        "reused weights are the source's bit for bit", arguments: [GatedSlotAttention.Profile.softmaxPreserving, .fla])
    func reusedWeights(_ profile: GatedSlotAttention.Profile) throws {
        let source = try SourceModel("llama-tied")
        let folder = try TemporaryFolder()
        let output = "\(folder.path)/student"
        let report = try Converter(ModelFiles.open(source.path), options: options(profile)).run(output: output)
        let (before, after) = (try SafetensorsCheckpoint(path: source.path), try SafetensorsCheckpoint(path: output))
        #expect(after.tensors.map(\.name) == report.plan.entries.map(\.name))
        for entry in report.plan.entries {
            let name: String
            switch entry.action {
            case .copied: name = entry.name
            case .renamed(let old), .derived(let old, _): name = old
            case .initialised: continue
            }
            let (old, new) = (try before.load(name), try after.load(entry.name))
            #expect(old.dtype == new.dtype)
            #expect(try old.withUnsafeBytes { Data($0) } == new.withUnsafeBytes { Data($0) }, "\(entry.name)")
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["student"])
        let files = try FileManager.default.contentsOfDirectory(atPath: output).sorted()
        #expect(
            files == [
                "README.md", "config.json", "conversion.json", "generation_config.json", "model.safetensors",
                "moult.json",
            ])
        // The result is a model that runs, with the mixers asked for.
        let model = try DecoderModel.load(output)
        #expect(model.configuration.mixers == ["gsa", "gsa"])
        #expect(try model.logits([[1, 2, 3]]).array().allSatisfy(\.isFinite))
    }

    @Test(
        "other mixers become flash-linear-attention's layers, and come back",
        arguments: [("gla", "gla"), ("retention", "retnet")], [[], [1]] as [KeptAttention])
    func publishedLayers(_ mixer: (name: String, type: String), _ kept: KeptAttention) throws {
        // Retention turns at the base of the layers that keep attention.
        let source = try SourceModel("llama-tied") { json in
            json["rope_parameters"] = ["rope_type": "default", "rope_theta": 10_000]
        }
        let folder = try TemporaryFolder()
        let output = "\(folder.path)/student"
        var options = ConversionOptions()
        (options.mixer, options.profile, options.keptAttention) = (mixer.name, .fla, kept)
        let plan = try Converter(ModelFiles.open(source.path), options: options).run(output: output).plan
        let files = try ModelFiles.open(output)
        #expect(files.configuration.modelType == mixer.type)
        let model = try DecoderModel.load(files)
        let own = "fla.\(mixer.type)"
        #expect(model.configuration.mixers == (kept == [] ? [own, own] : [own, "attention"]))
        #expect(try DecoderModel.rules(model.configuration).map(\.name) == plan.entries.map(\.name))
        // All weights of the source are in it, and what is new is next to nothing.
        let before = try SafetensorsCheckpoint(path: source.path)
        for name in ["q_proj", "k_proj", "v_proj", "o_proj"] {
            let old = try before.load("model.layers.0.self_attn.\(name).weight", as: .float32).array(Float.self)
            #expect(try files.checkpoint.load("model.layers.0.attn.\(name).weight", as: .float32).array() == old)
        }
        #expect(try model.logits([[1, 2, 3]]).array().allSatisfy(\.isFinite))
    }

    @Test("converting twice gives the same bytes, another seed gives others")
    func reproducible() throws {
        let source = try SourceModel("llama-biases-llama3-rope")
        let folder = try TemporaryFolder()
        for (name, seed) in [("a", UInt64(3)), ("b", 3), ("c", 4)] {
            var options = options(.softmaxPreserving, window: 8)
            (options.seed, options.dtype) = (seed, .bfloat16)
            _ = try Converter(ModelFiles.open(source.path), options: options).run(output: "\(folder.path)/\(name)")
        }
        for file in ["model.safetensors", "config.json", "conversion.json"] {
            #expect(try bytes("\(folder.path)/a/\(file)") == bytes("\(folder.path)/b/\(file)"))
        }
        #expect(try bytes("\(folder.path)/a/model.safetensors") != bytes("\(folder.path)/c/model.safetensors"))
    }

    @Test("a window that covers the text, alone, is the source's attention")
    func windowIsTheSource() throws {
        let source = try SourceModel("llama-tied")
        let folder = try TemporaryFolder()
        let output = "\(folder.path)/student"
        _ = try Converter(ModelFiles.open(source.path), options: options(.softmaxPreserving, window: 64)).run(
            output: output)
        // With the window's share driven to 1 the student must give the teacher's logits.
        let configuration = try ModelConfiguration(ModelFiles.open(output).configuration)
        let checkpoint = try SafetensorsCheckpoint(path: output)
        var tensors: [String: Tensor] = [:]
        for rule in try DecoderModel.rules(configuration) {
            tensors[rule.name] = try checkpoint.load(rule.name, as: .float32)
            if rule.name.hasSuffix("window_proj.bias") {
                tensors[rule.name] = try Tensor([Float](repeating: 100, count: rule.shape[0]), shape: rule.shape)
            }
        }
        let tokens: [[Int32]] = [(0..<40).map { Int32($0 * 37 % 128) }]
        let student = try DecoderModel(configuration, parameters: Parameters(tensors)).logits(tokens).array()
        let teacher = try DecoderModel.load(source.path, as: .float32).logits(tokens).array()
        #expect(zip(student, teacher).allSatisfy { abs($0 - $1) < 1e-4 })
    }

    @Test(
        "positions of kept attention",
        arguments: zip(
            [
                AttentionPositions.init(divisor: 4), .init(divisor: 2.5), .init(divisor: nil, hasLogScale: true),
                .source,
            ],
            [
                ", positions divided by 4", ", positions divided by 2.5",
                ", without positions, queries scaled by the logarithm of the tokens seen", "",
            ]))
    func positions(_ positions: AttentionPositions, _ summary: String) throws {
        let source = try SourceModel("llama-tied")
        let folder = try TemporaryFolder()
        var options = options(.softmaxPreserving)
        (options.keptAttention, options.attentionPositions) = (KeptAttention("0:1,1") ?? [], positions)
        let report = try Converter(ModelFiles.open(source.path), options: options).run(
            output: "\(folder.path)/student")
        let model = try DecoderModel.load("\(folder.path)/student")
        #expect(try model.configuration.attention.positions == positions)
        #expect(model.configuration.decoder.json["moult"]?["version"]?.doubleValue == (positions == .source ? 2 : 3))
        let attention = try #require(report.json["attention"])
        #expect((attention["positions"] == nil) == (positions.divisor == 1))
        #expect((attention["log_scale"] == .bool(true)) == positions.hasLogScale)
        let card = try String(contentsOfFile: "\(folder.path)/student/README.md", encoding: .utf8)
        #expect(
            card.contains(
                "Softmax attention over the first 4 and the last 4096 tokens\(summary) is kept in layer 1, head 0:1"),
            "\(card)")
    }

    @Test("layers that keep softmax attention", arguments: [GatedSlotAttention.Profile.softmaxPreserving, .fla])
    func keptLayers(_ profile: GatedSlotAttention.Profile) throws {
        let source = try SourceModel("llama-tied")
        let folder = try TemporaryFolder()
        var options = options(profile)
        options.keptAttention = [1]
        _ = try Converter(ModelFiles.open(source.path), options: options).run(output: "\(folder.path)/student")
        let model = try DecoderModel.load("\(folder.path)/student")
        #expect(model.configuration.mixers == ["gsa", "attention"])
        #expect(model.configuration.decoder.ropeTheta == (try ModelFiles.open(source.path)).configuration.ropeTheta)
        options.keptAttention = [0, 1]
        _ = try Converter(ModelFiles.open(source.path), options: options).run(output: "\(folder.path)/all")
        let tokens: [[Int32]] = [[5, 6, 7, 8, 9]]
        let (all, teacher) = (try DecoderModel.load("\(folder.path)/all"), try DecoderModel.load(source.path))
        #expect(try all.logits(tokens).array() == teacher.logits(tokens).array())
    }
}
