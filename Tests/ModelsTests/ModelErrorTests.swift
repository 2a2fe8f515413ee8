import Checkpoints
import Foundation
import Models
import Support
import Tensors
import TestSupport
import Testing

@Suite("Models refuse what they cannot run")
struct ModelErrorTests {
    let fixture = Fixture(name: "moult-gsa-window")

    /// A copy of the fixture's folder with `change` made to its config.json.
    private func copy(_ fixture: Fixture? = nil, _ change: (inout JSONObject) -> Void) throws -> TemporaryFolder {
        let source = (fixture ?? self.fixture).path
        let folder = try TemporaryFolder()
        try FileManager.default.copyItem(
            atPath: "\(source)/model.safetensors", toPath: "\(folder.path)/model.safetensors")
        guard case .object(var json) = try JSONValue(file: "\(source)/config.json") else {
            throw CocoaError(.coderReadCorrupt)
        }
        change(&json)
        try folder.write("config.json", JSONValue.object(json).text())
        return folder
    }

    private func options(_ change: @escaping (inout JSONObject) -> Void) -> (inout JSONObject) -> Void {
        { json in
            guard case .object(var moult)? = json["moult"], case .object(var gsa)? = moult["gsa"] else { return }
            change(&gsa)
            moult["gsa"] = .object(gsa)
            json["moult"] = .object(moult)
        }
    }

    @Test func missingParameter() throws {
        let folder = try copy { json in
            guard case .object(var moult)? = json["moult"] else { return }
            moult["layers"] = ["gsa", "attention"]
            json["moult"] = .object(moult)
            json["attention_bias"] = true
        }
        #expect(
            throws: ModelError.missingParameter(
                name: "model.layers.0.self_attn.q_proj.bias", path: folder.path)
        ) { try DecoderModel.load(folder.path) }
    }

    @Test func wrongShape() throws {
        let folder = try copy(nil, options { $0["slots"] = 3 })
        let error = #expect(throws: ModelError.self) { try DecoderModel.load(folder.path) }
        guard case .parameterShape(let name, _, let expected, let found)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(name == "model.layers.0.self_attn.gate_proj.weight" && expected[0] == 6 && found[0] != 6)
    }

    @Test("options of the mixer", arguments: ["slots", "window", "profile"])
    func badOptions(_ key: String) throws {
        for value: JSONValue in [-1, 1.5, "many", true, 1e300] {
            let folder = try copy(nil, options { $0[key] = value })
            let error = #expect(throws: ModelError.self) { try DecoderModel.load(folder.path) }
            #expect(error.map { "\($0)" }?.contains("moult.gsa.\(key)") == true)
        }
    }

    @Test func unknownMixerAndVersion() throws {
        let changes: [(String, JSONValue, String)] = [
            ("layers", ["gsa", "magic"], "'magic'"), ("layers", ["gsa"], "2 mixer names"),
            ("layers", 5, "2 mixer names"),
            ("version", 5, "moult.version"),
        ]
        for (key, value, message) in changes {
            let folder = try copy { json in
                guard case .object(var moult)? = json["moult"] else { return }
                moult[key] = value
                json["moult"] = .object(moult)
            }
            let error = #expect(throws: ModelError.self) { try DecoderModel.load(folder.path) }
            #expect(error.map { "\($0)" }?.contains(message) == true, "\(String(describing: error))")
        }
    }

    @Test("what flash-linear-attention can do and Moult cannot")
    func unsupportedFlashLinearAttention() throws {
        for (key, value): (String, JSONValue) in [
            ("feature_map", "relu"), ("use_short_conv", true), ("gate_logit_normalizer", 16),
        ] {
            let folder = try copy(Fixture(name: "fla-gsa-tied")) { $0[key] = value }
            let error = #expect(throws: ModelError.self) { try DecoderModel.load(folder.path) }
            #expect(error.map { "\($0)" }?.contains(key) == true)
        }
    }

    @Test(
        "and of its other layers",
        arguments: [
            ("retnet-gate", "feature_map", "relu", "null"), ("retnet-gate", "attnres_block_size", 2, "null"),
            ("retnet-gate", "expand_k", 0.3, "a multiple of 2 heads"),
            ("retnet-gate", "expand_v", 65, "a number from 0.0 to 64.0"),
            ("retnet-gate", "num_kv_heads", 3, "a divisor"),
            ("retnet-hybrid", "attn", ["layers": [1], "num_heads": 4, "num_kv_heads": 2, "rope_theta": 500], "10000"),
            ("retnet-hybrid", "attn", ["layers": [1], "num_heads": 2, "num_kv_heads": 2], "as wide as keys"),
            ("retnet-hybrid", "attn", [["layers": [1], "num_heads": 4]], "one object"),
            ("gla-gate", "elementwise_affine", false, "true"), ("gla-gate", "clamp_min", 1, "a number from"),
            ("gla-convolution", "conv_size", 17, "from 2 to 16"),
            ("gla-convolution", "use_short_conv", "yes", "true or false"),
            ("gated_deltanet-values", "num_v_heads", 3, "a multiple of num_heads"),
            ("gated_deltanet-values", "output_gate_activation", "tanh", "'swish' or"),
            ("kda-bounded", "safe_gate", false, "true with lower_bound"),
            ("kda-bounded", "lower_bound", .null, "false without lower_bound"),
            ("mamba2-plain", "layer_norm_epsilon", 1e-5, "norm_eps"), ("mamba2-plain", "head_dim", 24, "a divisor"),
            ("mamba2-plain", "n_groups", 3, "a divisor"),
            ("mamba2-plain", "num_heads", 5, "4"), ("mamba2-plain", "dt_limit", [2, 1], "in order"),
            ("mamba2-plain", "hidden_act", "gelu", "'silu'"), ("hgrn2-bounded", "expand_ratio", 24, "a divisor"),
        ] as [(String, String, JSONValue, String)])
    func unsupportedPublished(_ name: String, _ key: String, _ value: JSONValue, _ expected: String) throws {
        let folder = try copy(Fixture(name: "fla-\(name)")) { $0[key] = value }
        let error = #expect(throws: (any Error).self) { try DecoderModel.load(folder.path) }
        let text = error.map { "\($0)" } ?? ""
        #expect(text.contains(key) && text.contains(expected) && !text.contains("\n"), "\(text)")
    }

    @Test func badInput() throws {
        let model = try fixture.model()
        #expect(throws: ModelError.self) { try model.logits([]) }
        #expect(throws: ModelError.self) { try model.logits([[]]) }
        #expect(throws: ModelError.self) { try model.logits([[1, 2], [3]]) }
        #expect(throws: ModelError.self) { try model.logits([[1], [2]], state: model.makeState()) }
        for token: Int32 in [-1, 128, .max] {
            let error = #expect(throws: ModelError.self) { try model.logits([[1, token]]) }
            #expect(error.map { "\($0)" }?.contains("\(token)") == true)
        }
    }
}
