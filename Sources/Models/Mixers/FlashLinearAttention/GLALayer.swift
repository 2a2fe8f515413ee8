import Checkpoints
import Support
import Tensors

/// Gated linear attention as published (Yang et al. 2024, arXiv 2312.06635): a matrix for each key/value head whose channels forget at
/// rates that depend on the token, by a map of rank 16; a norm of each head and a gate follow:
///
///     S_t = Diag(a_t) S_{t-1} + k_t v_tᵀ,   a_t = sigmoid(W₂ W₁ x_t + b)^(1/16)      o_t = norm(S_tᵀ q_t / √K) ⊙ silu(g_t)
struct GLALayer: PublishedLayer {
    static let modelType = "gla"
    static let title = "Gated Linear Attention, flash-linear-attention's layer (arXiv 2312.06635)"

    /// Of the map to the gates, and what their logarithms are divided by: the models' configuration does not say.
    private static let rank = 16, divisor: Float = 16

    struct Options: PublishedOptions {
        /// Query heads, and how many share a state.
        let heads, group: Int
        let keyDim, valueDim: Int
        let convolution: ConvolvedMap.Options
        let gate: PublishedGate
        let epsilon: Float
        /// What log decays do not go below; nil for no bound.
        let least: Float?

        init(_ file: MixerOptionsReader) throws {
            try file.requirePublished()
            try file.require("feature_map", equals: .null)
            (heads, group) = try file.publishedHeads(default: 4)
            keyDim = try file.width("expand_k", default: 0.5, of: file.decoder.hiddenSize, heads: heads)
            valueDim = try file.width("expand_v", default: 1, of: file.decoder.hiddenSize, heads: heads)
            let width = try file.convolutionWidth(default: false)
            convolution = ConvolvedMap.Options(width: width, activation: width == nil ? nil : .silu)
            (gate, epsilon) = (try PublishedGate(file), try file.epsilon())
            least = try file.number("clamp_min", in: -1e6...0).map { Float($0) }
        }

        /// The letters of the convolved maps, and their outputs.
        var convolved: [(letter: String, outputs: Int)] {
            [("q", heads * keyDim), ("k", heads / group * keyDim), ("v", heads / group * valueDim)]
        }
    }

    private let options: Options
    private let convolved: [ConvolvedMap]
    private let narrow, wide: Linear
    private let gates: [Linear]
    let outputMap: Linear
    private let norm: OutputNorm

    static func rules(_ place: PublishedPlace, _ options: Options) -> [ParameterRule] {
        let (prefix, values) = (place.prefix, options.heads * options.valueDim)
        let channels = options.heads / options.group * options.keyDim
        return options.convolved.flatMap { ConvolvedMap.rules(place, $0.letter, $0.outputs, options.convolution) }
            + [
                .new(
                    "\(prefix).gk_proj.0.weight", shape: [rank, place.hiddenSize], .map(outputs: 1, norm: place.norm)),
                .new("\(prefix).gk_proj.1.weight", shape: [channels, rank], .map(outputs: 0.08, norm: nil)),
                .new(
                    "\(prefix).gk_proj.1.bias", shape: [channels],
                    .halfLives(slots: options.keyDim, shortest: 2, longest: 4096, divisor: Double(divisor))),
            ] + options.gate.rules(place, values: values, valueDim: options.valueDim)
            + [place.map("o_proj", place.hiddenSize, inputs: values)]
    }

    static func state(_ options: Options) -> [StateTensor] {
        MatrixState.tensors(options.heads / options.group, options.keyDim, options.valueDim)
            + options.convolved.flatMap { ConvolvedMap.state($0.letter, $0.outputs, options.convolution) }
    }

    init(_ place: PublishedPlace, _ options: Options, parameters: Parameters) throws {
        self.options = options
        let prefix = place.prefix
        convolved = try options.convolved.map {
            try ConvolvedMap(place, $0.letter, options.convolution, parameters: parameters)
        }
        narrow = try parameters.linear("\(prefix).gk_proj.0")
        wide = try parameters.linear("\(prefix).gk_proj.1", hasBias: true)
        gates = try options.gate.maps.map { try parameters.linear("\(prefix).\($0)") }
        outputMap = try parameters.linear("\(prefix).o_proj")
        norm = try options.gate.norm(prefix, epsilon: options.epsilon, parameters)
    }

    var inputMaps: [Linear] { convolved.map(\.map) + [narrow] + gates }

    func callAsFunction(_ input: PublishedInput, state: inout MemoryTensors) throws -> Tensor {
        let shared = options.heads / options.group, counts = [options.heads, shared, shared]
        let qkv = try zip(convolved, zip(input.maps, counts)).map { map, part in
            try input.heads(map(part.0, input, &state), part.1)
        }
        let logits = try input.heads(input.linear(input.maps[3], wide), shared)
        let decays = try Tensor.pointwise(logits, as: .float32) { x in
            let decay = .logSigmoid(x) / Self.divisor
            return options.least.map { .max(decay, $0) } ?? decay
        }
        let read = try MatrixState.gatedLinear(
            q: qkv[0], k: qkv[1], v: qkv[2], logDecays: decays, scale: 1 / Float(options.keyDim).squareRoot(),
            input.documents, &state)
        return try norm(read, gate: input.maps.count > 4 ? input.maps[4] : nil)
    }

    static func file(_ decoder: DecoderConfiguration) -> JSONObject? {
        [
            "architectures": .array([.string("GLAForCausalLM")]),
            "num_heads": .integer(decoder.headCount), "num_kv_heads": .integer(decoder.keyValueHeadCount),
            "expand_k": 1, "expand_v": 1, "feature_map": .null, "use_short_conv": .bool(false),
            "use_output_gate": .bool(false), "clamp_min": .null, "use_gk": .bool(true), "use_gv": .bool(false),
        ]
    }
}
