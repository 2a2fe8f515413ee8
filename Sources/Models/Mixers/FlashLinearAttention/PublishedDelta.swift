import Checkpoints
import Support
import Tensors

/// What the published layers of Gated DeltaNet and Kimi Delta Attention have alike: convolved queries, keys and values, the first two
/// of length 1; shares β of what a key recalls that are replaced; and decays with a rate and a time step of their own:
///
///     g = -exp(A) · softplus(f(x) + b)      β = sigmoid(W x), or twice that
struct PublishedDelta: Sendable {
    struct Options: Sendable {
        /// Heads of queries and keys, and of values.
        let heads, valueHeads: Int
        let keyDim, valueDim: Int
        let convolution: ConvolvedMap.Options
        /// What β is multiplied by: 2 lets what is recalled change its sign (arXiv 2411.12537).
        let strength: Float
        let epsilon: Float

        /// - Parameters:
        ///   - heads: where the file does not say how many.
        ///   - dim: nor how wide, K.
        ///   - factor: nor how wide values are, V / K.
        init(_ file: MixerOptionsReader, heads fallback: Int, dim: Int, factor: Double) throws {
            try file.requirePublished()
            heads = try file.integer("num_heads", in: 1...1 << 16) ?? fallback
            valueHeads = try file.integer("num_v_heads", in: 1...1 << 16) ?? heads
            guard valueHeads % heads == 0 else {
                throw file.refusal(
                    "num_v_heads", expected: "a multiple of num_heads (\(heads))", found: .integer(valueHeads))
            }
            try file.requireFewHeads("num_v_heads", valueHeads, group: valueHeads / heads)
            keyDim = try file.integer("head_dim", in: 1...1 << 14) ?? dim
            valueDim = try file.width("expand_v", default: factor, of: keyDim, heads: 1)
            convolution = ConvolvedMap.Options(
                width: try file.convolutionWidth(default: true), activation: .silu)
            strength = try file.flag("allow_neg_eigval") ?? false ? 2 : 1
            epsilon = try file.epsilon()
        }

        /// Outputs of all values together.
        var values: Int { valueHeads * valueDim }

        /// The letters of the convolved maps, and their outputs.
        fileprivate var convolved: [(letter: String, outputs: Int)] {
            [("q", heads * keyDim), ("k", heads * keyDim), ("v", values)]
        }
    }

    private let options: Options
    private let convolved: [ConvolvedMap]
    private let beta: Linear
    /// log rates (HV), and b, (HV) or (HV · K).
    private let rates, shift: Tensor

    /// All parameters but those of the gates.
    /// - Parameter channels: decays of a head: 1 or K.
    static func rules(_ place: PublishedPlace, _ options: Options, channels: Int) -> [ParameterRule] {
        options.convolved.flatMap { ConvolvedMap.rules(place, $0.letter, $0.outputs, options.convolution) }
            + [
                place.map("b_proj", options.valueHeads), place.stored("A_log", options.valueHeads),
                place.stored("dt_bias", options.valueHeads * channels),
                place.stored("o_norm.weight", options.valueDim),
                place.map("o_proj", place.hiddenSize, inputs: options.values),
            ]
    }

    static func state(_ options: Options) -> [StateTensor] {
        MatrixState.tensors(options.valueHeads, options.keyDim, options.valueDim)
            + options.convolved.flatMap { ConvolvedMap.state($0.letter, $0.outputs, options.convolution) }
    }

    init(_ place: PublishedPlace, _ options: Options, parameters: Parameters) throws {
        self.options = options
        convolved = try options.convolved.map {
            try ConvolvedMap(place, $0.letter, options.convolution, parameters: parameters)
        }
        beta = try parameters.linear("\(place.prefix).b_proj")
        rates = try parameters["\(place.prefix).A_log"]
        shift = try parameters["\(place.prefix).dt_bias"]
    }

    /// The maps of the layer's input: q, k, v and β.
    var inputMaps: [Linear] { convolved.map(\.map) + [beta] }

    /// Log decays (B, T, HV, C), float32, as `gate` makes them of outputs of a map (B, T, HV · C), of log rates and b.
    func logDecays(
        _ outputs: Tensor, _ input: PublishedInput, _ gate: (Pointwise, Pointwise, Pointwise) -> Pointwise
    ) throws -> Tensor {
        let heads = options.valueHeads
        return try Tensor.pointwise(
            input.heads(outputs, heads), rates.perHead(), shift.reshaped([heads, shift.count / heads]), as: .float32,
            gate)
    }

    /// What queries read, (B, T, HV, V), where the first of the input's maps are ``inputMaps``.
    /// - Parameter logDecays: g (B, T, HV, 1) or (B, T, HV, K).
    func read(_ input: PublishedInput, logDecays: Tensor, _ state: inout MemoryTensors) throws -> Tensor {
        let counts = [options.heads, options.heads, options.valueHeads], group = options.valueHeads / options.heads
        let qkv = try zip(convolved, zip(input.maps, counts)).map { map, part in
            try input.heads(map(part.0, input, &state), part.1)
        }
        let betas = try Tensor.pointwise(input.maps[3], as: .float32) { .sigmoid($0) * options.strength }
        return try MatrixState.gatedDelta(
            q: qkv[0].l2Normed(epsilon: 1e-6).repeatingHeads(group),
            k: qkv[1].l2Normed(epsilon: 1e-6).repeatingHeads(group), v: qkv[2], logDecays: logDecays, betas: betas,
            scale: 1 / Float(options.keyDim).squareRoot(), input.documents, &state)
    }
}
