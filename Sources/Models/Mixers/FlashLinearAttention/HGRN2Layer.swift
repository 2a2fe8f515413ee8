import Checkpoints
import Support
import Tensors

/// HGRN2 as published (Qin et al. 2024, arXiv 2404.07904): a matrix for each head whose channels take in what they forget, and in
/// upper layers forget no more than a learned bound l lets them; a norm over all heads follows:
///
///     a_t = l + (1 - l) sigmoid(f(x))      S_t = Diag(a_t) S_{t-1} + (1 - a_t) v_tᵀ      o_t = norm(S_tᵀ silu(q_t) / √K)
struct HGRN2Layer: PublishedLayer {
    static let modelType = "hgrn2"
    static let title = "HGRN2, flash-linear-attention's layer (arXiv 2404.07904)"

    struct Options: PublishedOptions {
        let heads, keyDim, valueDim: Int
        let convolution: ConvolvedMap.Options
        /// Whether layers but the first have a bound.
        let isBounded: Bool

        init(_ file: MixerOptionsReader) throws {
            try file.requirePublished()
            let hiddenSize = file.decoder.hiddenSize
            let asked = try file.integer("num_heads", in: 1...1 << 16)
            // A null is a width by the number of heads, an absent key the default.
            let isNull = file.json["expand_ratio"] == .null && asked != nil
            keyDim =
                isNull
                ? hiddenSize / max(1, asked ?? 1) : try file.integer("expand_ratio", in: 1...1 << 14) ?? 128
            guard keyDim > 0, hiddenSize % keyDim == 0 else {
                throw file.refusal(
                    isNull ? "num_heads" : "expand_ratio", expected: "a divisor of hidden_size (\(hiddenSize))",
                    found: .integer(isNull ? asked ?? 0 : keyDim))
            }
            (heads, valueDim) = (hiddenSize / keyDim, keyDim)
            convolution = ConvolvedMap.Options(width: try file.convolutionWidth(default: false), activation: nil)
            isBounded = try file.flag("use_lower_bound") ?? true
        }

        /// The letters of the convolved maps; each has D outputs.
        var convolved: [String] { ["q", "f", "i"] }
    }

    /// What flash-linear-attention's function adds that norms and maps in one, whatever the configuration says.
    private static let epsilon: Float = 1e-5

    private let options: Options
    private let convolved: [ConvolvedMap]
    let outputMap: Linear
    private let weight: Tensor
    /// l (H · K); nil without one.
    private let bound: Tensor?

    static func rules(_ place: PublishedPlace, _ options: Options) -> [ParameterRule] {
        options.convolved.flatMap { ConvolvedMap.rules(place, $0, place.hiddenSize, options.convolution) }
            + [
                place.stored("g_norm.weight", place.hiddenSize),
                place.map("o_proj", place.hiddenSize, inputs: place.hiddenSize),
            ] + (options.isBounded && place.layer > 0 ? [place.stored("lower_bound", place.hiddenSize)] : [])
    }

    static func state(_ options: Options) -> [StateTensor] {
        MatrixState.tensors(options.heads, options.keyDim, options.valueDim)
            + options.convolved.flatMap {
                ConvolvedMap.state($0, options.heads * options.keyDim, options.convolution)
            }
    }

    init(_ place: PublishedPlace, _ options: Options, parameters: Parameters) throws {
        self.options = options
        let prefix = place.prefix
        convolved = try options.convolved.map {
            try ConvolvedMap(place, $0, options.convolution, parameters: parameters)
        }
        outputMap = try parameters.linear("\(prefix).o_proj")
        weight = try parameters["\(prefix).g_norm.weight"]
        bound = try options.isBounded && place.layer > 0 ? parameters["\(prefix).lower_bound"] : nil
    }

    var inputMaps: [Linear] { convolved.map(\.map) }

    func callAsFunction(_ input: PublishedInput, state: inout MemoryTensors) throws -> Tensor {
        let parts = try zip(convolved, input.maps).map { try input.heads($0($1, input, &state), options.heads) }
        let q = try parts[0].activated(.silu)
        func gates(
            as type: DType?, free: (Pointwise) -> Pointwise, bounded: (Pointwise, Pointwise) -> Pointwise
        ) throws -> Tensor {
            guard let bound else { return try Tensor.pointwise(parts[1], as: type, free) }
            return try Tensor.pointwise(
                parts[1], bound.reshaped([options.heads, options.keyDim]), as: type, bounded)
        }
        let decays = try gates(as: .float32, free: { .logSigmoid($0) }) { x, least in
            .log(.max(least + (1 - least) * .sigmoid(x), 1e-30))
        }
        let k = try gates(as: nil, free: { .sigmoid(-$0) }) { x, least in (1 - least) * .sigmoid(-x) }
        let read = try MatrixState.gatedLinear(
            q: q, k: k, v: parts[2], logDecays: decays, scale: 1 / Float(options.keyDim).squareRoot(),
            input.documents, &state)
        return try read.reshaped(input.maps[0].shape).rmsNorm(weight: weight, epsilon: Self.epsilon)
    }
}
