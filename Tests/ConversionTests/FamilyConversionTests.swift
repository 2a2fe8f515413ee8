import Checkpoints
import Conversion
import Foundation
import Models
import Support
import Tensors
import TestSupport
import Testing

@Suite("Conversion of other families")
struct FamilyConversionTests {
    static let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("../ModelsTests/Fixtures/families").standardized.path
    static let names = [
        "qwen2", "qwen2-window", "qwen3", "phi3", "phi3-longrope", "gemma2", "gemma3", "olmo2", "smollm3", "granite",
        "starcoder2", "gpt_neox", "gpt_neox-sequential", "gpt2", "mixtral", "qwen3_moe", "qwen3_moe-dense",
    ]

    private static let tokens: [Int32] = (0..<40).map { Int32(($0 * 29 + 7) % 64) }

    @Test("with all attention kept a model predicts what its source does", arguments: names)
    func kept(_ name: String) throws {
        let source = "\(Self.fixtures)/\(name)"
        let folder = try TemporaryFolder(inMemory: true)
        let files = try ModelFiles.open(source)
        var options = ConversionOptions()
        options.keptAttention = try #require(
            KeptAttention((0..<files.configuration.layerCount).map(String.init).joined(separator: ",")))
        options.dtype = .float32
        let report = try Converter(files, options: options).run(output: "\(folder.path)/model")
        #expect(report.json["tensors"] != nil)
        let expected = try DecoderModel.load(source, as: .float32).logits([Self.tokens]).array(Float.self)
        let found = try DecoderModel.load("\(folder.path)/model").logits([Self.tokens]).array(Float.self)
        let scale = expected.map(abs).max() ?? 1
        #expect(zip(expected, found).allSatisfy { abs($0 - $1) <= 2e-6 * scale })
    }

    @Test(
        "a converted model steps as it reads whole rows",
        // Whose positions change for a whole text once that is long.
        arguments: names.filter { $0 != "phi3-longrope" })
    func converted(_ name: String) throws {
        let folder = try TemporaryFolder(inMemory: true)
        let source = try ModelFiles.open("\(Self.fixtures)/\(name)")
        var options = ConversionOptions()
        (options.window, options.slots, options.dtype) = (8, 4, .float32)
        _ = try Converter(source, options: options).run(output: "\(folder.path)/model")
        let model = try DecoderModel.load("\(folder.path)/model")
        let mixers = model.configuration.mixers
        for layer in mixers.indices {
            #expect((mixers[layer] == "gsa") != source.configuration.isLocal(layer))
        }
        let whole = try model.logits([Self.tokens]).array(Float.self)
        let step = try DecoderStep(model), state = try model.makeState()
        var logits: [Float] = []
        for token in Self.tokens {
            try step.read([token], states: [state])
            step.withLogits { logits += $0 }
        }
        let scale = whole.map(abs).max() ?? 1
        #expect(zip(whole, logits).allSatisfy { abs($0 - $1) <= 2e-5 * scale })
    }

    @Test("the report calls tensors what the source's files call them")
    func reportedNames() throws {
        let files = try ModelFiles.open("\(Self.fixtures)/gpt2")
        let report = try ConversionReport(ConversionPlan(files, options: ConversionOptions()))
        let tensors = try #require(report.json["tensors"]?.arrayValue)
        func entry(_ name: String) -> JSONValue? { tensors.first { $0["name"] == .string(name) } }
        let norm = entry("model.layers.1.input_layernorm.weight")
        #expect(norm?["action"] == "renamed" && norm?["source"] == "transformer.h.1.ln_1.weight")
        let map = entry("model.layers.1.mlp.up_proj.weight")
        #expect(map?["action"] == "derived" && map?["source"] == "transformer.h.1.mlp.c_fc.weight, transposed")
    }
}
