import Checkpoints
import Foundation
import Support
import Testing

/// Right values are those of LlamaRotaryEmbedding of transformers 5.24.0, for heads of 8 dimensions and a base of 10000.
@Suite struct RopeScalingTests {
    struct Case: Sendable {
        let scaling: JSONValue
        let length: Int
        var positions = 64
        let attention: Double
        let frequencies: [Double]
    }

    private static let longRope: JSONObject = [
        "rope_type": "longrope", "short_factor": [1, 1.1, 1.2, 1.3], "long_factor": [1.5, 2, 4, 8],
        "original_max_position_embeddings": 16,
    ]

    static let cases = [
        Case(
            scaling: ["rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 16], length: 60,
            attention: 1.138629436111989, frequencies: [1, 0.025, 0.0025, 0.00025]),
        Case(
            scaling: [
                "type": "yarn", "factor": 8, "beta_fast": 16, "beta_slow": 2, "attention_factor": 1.5,
                "truncate": false,
            ], length: 10, attention: 1.5, frequencies: [1, 0.0125, 0.00125, 0.000125]),
        Case(
            scaling: [
                "rope_type": "yarn", "factor": 4, "mscale": 0.7, "mscale_all_dim": 1.3,
                "original_max_position_embeddings": 16,
            ], length: 10, attention: 0.9295234923939468, frequencies: [1, 0.025, 0.0025, 0.00025]),
        Case(
            scaling: ["rope_type": "dynamic", "factor": 2], length: 60, attention: 1,
            frequencies: [1, 0.1, 0.01, 0.001]),
        Case(
            scaling: ["rope_type": "dynamic", "factor": 2], length: 100, attention: 1,
            frequencies: [1, 0.07778222, 0.00605007, 0.00047059]),
        Case(
            scaling: .object(longRope), length: 16, attention: 1.224744871391589,
            frequencies: [1, 0.09090909, 0.00833333, 0.00076923]),
        Case(
            scaling: .object(longRope), length: 17, attention: 1.224744871391589,
            frequencies: [0.66666669, 0.05, 0.0025, 0.000125]),
        // Phi-3's first files have another name for it.
        Case(
            scaling: .object(JSONObject(longRope.pairs.map { ($0.key, $0.key == "rope_type" ? "su" : $0.value) })),
            length: 17, attention: 1.224744871391589, frequencies: [0.66666669, 0.05, 0.0025, 0.000125]),
        Case(
            scaling: .object(JSONObject(longRope.pairs.map { ($0.key, $0.value) } + [("factor", 2)])), length: 17,
            attention: 1.118033988749895, frequencies: [0.66666669, 0.05, 0.0025, 0.000125]),
    ]

    @Test(arguments: cases.indices) func frequencies(_ index: Int) throws {
        let expected = Self.cases[index]
        let scaling = try #require(
            try configuration(["rope_scaling": expected.scaling, "max_position_embeddings": 64]).ropeScaling)
        let divisors = scaling.divisors(headDim: 8, theta: 10_000, length: expected.length)
        for (pair, (divisor, frequency)) in zip(divisors, expected.frequencies).enumerated() {
            #expect(abs(pow(10_000, -Double(pair) / 4) / divisor - frequency) < 1e-6 * frequency + 1e-8)
        }
        #expect(divisors.count == 4 && abs(scaling.attentionFactor - expected.attention) < 1e-12)
    }

    @Test func whatLengthsChange() throws {
        #expect(RopeScaling.dynamic(factor: 2, maximumPositions: 64).longestUnchanged == 64)
        #expect(RopeScaling.linear(factor: 2).longestUnchanged == nil)
    }

    @Test(
        arguments: [
            ["rope_type": "longrope", "short_factor": [1, 1], "long_factor": [1, 1, 1, 1]],
            ["rope_type": "longrope", "short_factor": [1, 1, 1, 0], "long_factor": [1, 1, 1, 1]],
            ["rope_type": "longrope"], ["rope_type": "yarn", "factor": -1], ["rope_type": "dynamic"],
            ["rope_type": "yarn", "factor": 2, "beta_fast": "x"],
        ] as [JSONValue])
    func wrongValues(_ scaling: JSONValue) {
        #expect(throws: CheckpointError.self) { try configuration(["rope_scaling": scaling]) }
    }

    private func configuration(_ changes: JSONObject) throws -> DecoderConfiguration {
        var json: JSONObject = [
            "model_type": "llama", "vocab_size": 100, "hidden_size": 16, "intermediate_size": 8,
            "num_hidden_layers": 1, "num_attention_heads": 2,
        ]
        for (key, value) in changes.pairs { json[key] = value }
        return try DecoderConfiguration(json: .object(json), file: "config.json")
    }

    // MARK: GGUF

    private func gguf(_ change: (inout GGUFBuilder) -> Void) throws -> RopeScaling? {
        var builder = GGUFBuilder()
        builder.add("general.architecture", "llama")
        for (key, value) in [
            ("embedding_length", 8), ("feed_forward_length", 8), ("block_count", 1), ("attention.head_count", 2),
            ("context_length", 64),
        ] as [(String, UInt32)] {
            builder.add("llama.\(key)", value)
        }
        builder.add(
            "llama.attention.layer_norm_rms_epsilon", type: .float32, littleEndian(Float(1e-5).bitPattern))
        builder.add(tensor: "token_embd.weight", [8, 4])
        builder.data = [UInt8](repeating: 0, count: 192)
        change(&builder)
        return try DecoderConfiguration(gguf: builder.open()).ropeScaling
    }

    private func number(_ value: Float) -> [UInt8] { littleEndian(value.bitPattern) }

    /// llama.cpp (load_hparams): the old key where there is no new one, and linear where there is no type.
    @Test func oldGGUFKeys() throws {
        #expect(
            try gguf { $0.add("llama.rope.scale_linear", type: .float32, number(4)) } == .linear(factor: 4))
        #expect(
            try gguf { $0.add("llama.rope.scaling.factor", type: .float32, number(2)) } == .linear(factor: 2))
        let none = try gguf {
            $0.add("llama.rope.scaling.factor", type: .float32, number(2))
            $0.add("llama.rope.scaling.type", "none")
        }
        #expect(none == nil)
        #expect(try gguf { $0.add("llama.attention.sliding_window", 4) } == nil)
    }

    @Test func yarnOfGGUF() throws {
        let scaling = try gguf {
            $0.add("llama.rope.scaling.type", "yarn")
            $0.add("llama.rope.scaling.factor", type: .float32, number(4))
            $0.add("llama.rope.scaling.original_context_length", 16)
        }
        #expect(
            scaling
                == .yarn(
                    factor: 4, attentionFactor: 1.138629436111989, betaFast: 32, betaSlow: 1,
                    originalMaximumPositions: 16, truncates: true))
    }
}
