import Checkpoints
import Conversion
import Foundation
import Models
import Tensors
import TestSupport
import Testing

/// A family that Moult does not know: one matrix for queries, keys and values, half of a head turns, norms around, and a
/// name for everything.
private enum Invented: Family {
    static let modelTypes = ["invented"]
    static let embedding = "words.weight"

    static func decoder(_ file: ConfigurationReader) throws -> DecoderConfiguration {
        var decoder = try file.decoder(
            keys: .init { ($0.hiddenSize, $0.layers) = ("width", "depth") },
            defaults: .init { ($0.isTied, $0.activation) = (true, .geluTanh) }, rotaryFactor: 0.5)
        decoder.normPlacement = .around
        return decoder
    }

    static func derive(_ tensors: inout TensorDerivation, for decoder: DecoderConfiguration) throws {
        tensors.rename([
            "words.": "model.embed_tokens.",
            "last.": "model.norm.",
            "floor.": "model.layers.",
            ".a.": ".input_layernorm.",
            ".b.": ".post_mixer_layernorm.",
            ".c.": ".post_attention_layernorm.",
            ".d.": ".post_mlp_layernorm.",
            ".see.": ".self_attn.qkv_proj.",
            ".say.": ".self_attn.o_proj.",
            ".gate.": ".mlp.gate_proj.",
            ".up.": ".mlp.up_proj.",
            ".down.": ".mlp.down_proj.",
        ])
        tensors.splitAttention("qkv_proj", decoder)
        tensors.gatherTurning(decoder)
    }
}

@Suite("A family of a program's own")
struct OwnFamilyTests {
    private static let families: [any Family.Type] = Families.all + [Invented.self]

    /// A folder of the family with random weights: D 16, F 24, 2 heads of 8, 1 for keys and values, 2 layers, 32 tokens.
    private func write(_ folder: TemporaryFolder) throws {
        try folder.write(
            "config.json",
            """
            {"model_type": "invented", "width": 16, "depth": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
             "intermediate_size": 24, "vocab_size": 32, "max_position_embeddings": 64}
            """)
        var shapes = [("words.weight", [32, 16]), ("last.weight", [16])]
        for layer in 0..<2 {
            shapes += ["a", "b", "c", "d"].map { ("floor.\(layer).\($0).weight", [16]) }
            shapes += [
                ("floor.\(layer).see.weight", [32, 16]), ("floor.\(layer).say.weight", [16, 16]),
                ("floor.\(layer).gate.weight", [24, 16]), ("floor.\(layer).up.weight", [24, 16]),
                ("floor.\(layer).down.weight", [16, 24]),
            ]
        }
        let writer = try SafetensorsWriter(
            directory: folder.path, tensors: shapes.map { ($0.0, $0.1, .float32) }, metadata: [:])
        for (name, shape) in shapes {
            let initialiser: Initialiser = shape.count == 1 ? .constant(1.25) : .normal(standardDeviation: 0.4)
            try writer.append(initialiser.make(name: name, shape: shape, seed: 7))
        }
        try writer.finish()
    }

    @Test("is loaded, converted and generates, with nothing but its one type")
    func whole() throws {
        let folder = try TemporaryFolder(inMemory: true), target = try TemporaryFolder(inMemory: true)
        try write(folder)
        #expect(throws: CheckpointError.self) { try ModelFiles.open(folder.path) }
        let files = try ModelFiles.open(folder.path, families: Self.families)
        let source = try DecoderModel.load(files)
        let tokens: [Int32] = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7]
        let expected = try source.logits([tokens]).array(Float.self)
        #expect(expected.allSatisfy { $0.isFinite })

        // Everything is taken over: with attention kept the target says what the source does.
        var options = ConversionOptions()
        options.keptAttention = [0, 1]
        let report = try Converter(files, options: options).run(output: "\(target.path)/kept")
        #expect(report.derivedKinds.map(\.pattern).contains("model.layers.*.self_attn.q_proj.weight"))
        let kept = try DecoderModel.load("\(target.path)/kept")
        let found = try kept.logits([tokens]).array(Float.self)
        let scale = expected.map(abs).max() ?? 1
        #expect(zip(found, expected).allSatisfy { abs($0 - $1) <= 1e-6 * scale })

        (options.keptAttention, options.window, options.slots) = ([], 4, 2)
        _ = try Converter(files, options: options).run(output: "\(target.path)/student")
        let student = try DecoderModel.load("\(target.path)/student")
        let step = try DecoderStep(student), state = try student.makeState()
        var next: Int32 = 3
        for _ in 0..<12 {
            try step.read([next], states: [state])
            next = step.withLogits { logits in
                Int32(logits.indices.max { logits[$0] < logits[$1] } ?? 0)
            }
        }
        #expect(state.position == 12)
    }
}
