import Checkpoints
import Foundation
import Support
import Tensors

/// Multi-scale retention as published (Sun et al. 2023, arXiv 2307.08621): a matrix for each head that forgets at a fixed rate, read
/// by queries that turn, as keys do, by rotary positions of base 10,000; a norm of each head and a gate follow:
///
///     S_t = a_h S_{t-1} + k_t v_tᵀ,   a_h = 1 - 2^(-5-h)      o_t = norm(S_tᵀ q_t / √K) ⊙ silu(g_t)
struct RetNetLayer: PublishedLayer {
    static let modelType = "retnet"
    static let title = "Retention, flash-linear-attention's layer (arXiv 2307.08621)"

    struct Options: PublishedOptions {
        /// Heads, and how many share keys and values.
        let heads, group: Int
        let keyDim, valueDim: Int
        let gate: PublishedGate
        let epsilon: Float

        /// Of the rotary positions.
        private static let theta = 10_000.0

        init(_ file: MixerOptionsReader) throws {
            try file.requirePublished()
            try file.require("feature_map", equals: .null)
            (heads, group) = try file.publishedHeads(default: 8)
            try file.requireFewHeads("num_heads", heads, group: group)
            keyDim = try file.width("expand_k", default: 1, of: file.decoder.hiddenSize, heads: heads)
            valueDim = try file.width("expand_v", default: 2, of: file.decoder.hiddenSize, heads: heads)
            (gate, epsilon) = (try PublishedGate(file), try file.epsilon())
            guard keyDim % 2 == 0 else {
                throw file.refusal("expand_k", expected: "heads of an even width, which turn", found: .integer(keyDim))
            }
            guard case .object(let attention)? = file.json["attn"] else { return }
            // One table of angles serves all layers.
            if file.decoder.headDim != keyDim {
                throw file.refusal(
                    "attn.num_heads", expected: "heads of attention as wide as keys (\(keyDim))",
                    found: .integer(file.decoder.headDim))
            }
            if let found = attention["rope_theta"], found != .null, found.doubleValue != Self.theta {
                throw file.refusal("attn.rope_theta", expected: "10000, as retention has it", found: found)
            }
        }
    }

    private let options: Options
    private let maps: [Linear]
    let outputMap: Linear
    private let norm: OutputNorm
    /// Log decays (H, 1).
    private let logDecays: Tensor

    static func rules(_ place: PublishedPlace, _ options: Options) -> [ParameterRule] {
        let (keys, values) = (options.heads * options.keyDim, options.heads * options.valueDim)
        return [
            place.map("q_proj", keys), place.map("k_proj", keys / options.group),
            place.map("v_proj", values / options.group),
        ] + options.gate.rules(place, values: values, valueDim: options.valueDim) + [
            place.map("o_proj", place.hiddenSize, inputs: values)
        ]
    }

    static func state(_ options: Options) -> [StateTensor] {
        MatrixState.tensors(options.heads, options.keyDim, options.valueDim)
    }

    init(_ place: PublishedPlace, _ options: Options, parameters: Parameters) throws {
        self.options = options
        let prefix = place.prefix
        maps = try (["q_proj", "k_proj", "v_proj"] + options.gate.maps).map { try parameters.linear("\(prefix).\($0)") }
        outputMap = try parameters.linear("\(prefix).o_proj")
        norm = try options.gate.norm(prefix, epsilon: options.epsilon, parameters)
        let decays = (0..<options.heads).map { Float(log1p(-exp2(-5 - Double($0)))) }
        logDecays = try Tensor(decays, shape: [options.heads, 1]).to(outputMap.weight.device)
    }

    var inputMaps: [Linear] { maps }

    func callAsFunction(_ input: PublishedInput, state: inout MemoryTensors) throws -> Tensor {
        let (heads, group) = (options.heads, options.group)
        let q = try input.rotary(input.heads(input.maps[0], heads))
        let k = try input.rotary(input.heads(input.maps[1], heads / group)).repeatingHeads(group)
        let v = try input.heads(input.maps[2], heads / group).repeatingHeads(group)
        let every = try Tensor.zeros(Array(q.shape.prefix(3)) + [1], on: q.device)
        let decays = try Tensor.pointwise(every, logDecays, as: .float32) { $0 + $1 }
        let read = try MatrixState.gatedLinear(
            q: q, k: k, v: v, logDecays: decays, scale: 1 / Float(options.keyDim).squareRoot(), input.documents,
            &state)
        return try norm(read, gate: input.maps.count > 3 ? input.maps[3] : nil)
    }

    static func file(_ decoder: DecoderConfiguration) -> JSONObject? {
        [
            "architectures": .array([.string("RetNetForCausalLM")]),
            "num_heads": .integer(decoder.headCount), "num_kv_heads": .integer(decoder.keyValueHeadCount),
            "expand_k": 1, "expand_v": 1, "feature_map": .null, "use_output_gate": .bool(false),
        ]
    }
}
