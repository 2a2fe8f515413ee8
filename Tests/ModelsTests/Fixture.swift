import Checkpoints
import Foundation
import Models
import Tensors
import Testing

/// A tiny model with the logits that its own implementation gives, made by Tools/fixtures/models.py.
struct Fixture: Sendable, CustomTestStringConvertible {
    let name: String
    var testDescription: String { name }

    static let all =
        [
            "llama-tied", "llama-biases-llama3-rope", "llama-old-keys", "llama-linear-rope", "mistral-sliding-window",
            "fla-gsa-untied", "fla-gsa-tied", "fla-gsa-hybrid", "moult-gsa", "moult-gsa-window", "moult-hybrid",
        ].map(Fixture.init) + memories + published + families

    /// Those of memories beside Gated Slot Attention.
    static let memories = ["gla", "gated_deltanet", "kda", "mamba2", "retention", "hgrn2", "rwkv7"].map {
        Fixture(name: "moult-\($0)")
    }

    /// Those of flash-linear-attention's layers beside Gated Slot Attention.
    static let published = [
        "retnet-gate", "retnet-shared", "retnet-hybrid", "gla-gate", "gla-convolution", "gla-hybrid",
        "gated_deltanet-convolution", "gated_deltanet-values", "gated_deltanet-plain", "kda-convolution", "kda-bounded",
        "mamba2-plain", "mamba2-groups", "mamba2-unnormed", "hgrn2-bounded", "hgrn2-free",
    ].map { Fixture(name: "fla-\($0)") }

    /// Those of other families than Llama's, made by Tools/fixtures/families.py.
    static let families = [
        "qwen2", "qwen2-window", "qwen3", "qwen3-biases-window", "phi3", "phi3-window", "gemma2",
        "gemma2-scale", "gemma3", "gemma3-pattern", "olmo2", "olmo2-biases", "smollm3", "smollm3-window", "granite",
        "granite-biases", "starcoder2", "starcoder2-window", "gpt_neox", "gpt_neox-sequential", "gpt2", "gpt2-scale",
        "mixtral", "mixtral-window", "qwen3_moe", "qwen3_moe-dense",
    ].map { Fixture(name: "families/\($0)") }

    /// Its rotary positions change for a whole text once that is long, as transformers computes it; so steps and documents
    /// that pass that length differ from whole rows.
    static let longRope = Fixture(name: "families/phi3-longrope")

    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Fixtures")
        .path

    var path: String { "\(Self.root)/\(name)" }

    func model() throws -> DecoderModel { try DecoderModel.load(path, as: .float32) }

    /// Token ids (B, T) and the logits (B · T · V) expected for them.
    func expected() throws -> (tokens: [[Int32]], logits: [Float]) {
        let file = try SafetensorsCheckpoint(path: "\(path)/expected.safetensors")
        let tokens = try file.load("tokens", as: nil)
        let ids = try tokens.array(Int64.self).map { Int32($0) }
        let length = tokens.shape[1]
        return (
            (0..<tokens.shape[0]).map { Array(ids[$0 * length..<($0 + 1) * length]) },
            try file.load("logits", as: .float32).array()
        )
    }
}

extension Fixture {
    /// The first sequence (T) and the logits (T · V) expected for it.
    func firstSequence() throws -> (tokens: [Int32], logits: [Float]) {
        let (tokens, logits) = try expected()
        return (tokens[0], Array(logits.prefix(logits.count / tokens.count)))
    }
}

/// The ``relativeError(_:_:)`` of each row of so many elements, in ascending order.
func rowErrors(_ found: [Float], _ expected: [Float], width: Int) -> [Float] {
    guard found.count == expected.count else { return [.infinity] }
    return stride(from: 0, to: found.count, by: width).map {
        relativeError(Array(found[$0..<$0 + width]), Array(expected[$0..<$0 + width]))
    }.sorted()
}

/// The largest absolute difference over the largest magnitude of `expected`; infinite when a value is NaN.
func relativeError(_ found: [Float], _ expected: [Float]) -> Float {
    guard found.count == expected.count, found.allSatisfy(\.isFinite) else { return .infinity }
    let scale = expected.reduce(0) { max($0, abs($1)) }
    return zip(found, expected).reduce(0) { max($0, abs($1.0 - $1.1)) } / max(scale, 1e-20)
}
