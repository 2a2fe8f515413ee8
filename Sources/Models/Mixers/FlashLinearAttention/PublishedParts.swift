import Checkpoints
import Tensors

/// A map of a layer's input that the last few tokens of its outputs are weighed together behind, channel by channel, where the file
/// has it so.
struct ConvolvedMap: Sendable {
    let map: Linear
    /// (outputs, 1, W); nil for no convolution.
    private let weight: Tensor?
    private let bias: Tensor?
    private let name: String
    private let activation: Activation?

    /// How a layer's maps are convolved.
    struct Options: Sendable {
        /// Tokens that are weighed together, W; nil for no convolution.
        var width: Int?
        /// What follows the convolution, or the map where there is none.
        var activation: Activation?
        var hasBias = false
    }

    /// Those of the map `letter`_proj, whose convolution is called `letter`_conv1d.
    static func rules(
        _ place: PublishedPlace, _ letter: String, _ outputs: Int, _ options: Options
    ) -> [ParameterRule] {
        var rules = [place.map("\(letter)_proj", outputs)]
        guard let width = options.width else { return rules }
        rules.append(place.stored("\(letter)_conv1d.weight", outputs, 1, width, isWide: true))
        if options.hasBias { rules.append(place.stored("\(letter)_conv1d.bias", outputs)) }
        return rules
    }

    /// What a convolution knows of the tokens before; none without one.
    static func state(_ letter: String, _ outputs: Int, _ options: Options) -> [StateTensor] {
        options.width.map { [StateTensor("\(letter).tokens", $0 - 1, outputs, as: .activation)] } ?? []
    }

    init(
        _ place: PublishedPlace, _ letter: String, _ options: Options, hasBias: Bool = false, parameters: Parameters
    ) throws {
        map = try parameters.linear("\(place.prefix).\(letter)_proj", hasBias: hasBias)
        (name, activation) = ("\(letter).tokens", options.activation)
        weight = try options.width.map { _ in try parameters["\(place.prefix).\(letter)_conv1d.weight"] }
        bias = try options.hasBias && weight != nil ? parameters["\(place.prefix).\(letter)_conv1d.bias"] : nil
    }

    /// The map's outputs (B, T, outputs) after convolution and activation.
    func callAsFunction(_ x: Tensor, _ input: PublishedInput, _ state: inout MemoryTensors) throws -> Tensor {
        guard let weight else { return try activation.map { try x.activated($0) } ?? x }
        let rows = try weight.reshaped([weight.shape[0], weight.shape[2]]).widened()
        return try state.update(name) {
            try x.shortConvolution(
                weight: rows, bias: bias, activation: activation, state: &$0, documents: input.documents)
        } whole: {
            try x.shortConvolution(weight: rows, bias: bias, activation: activation, documents: input.documents)
        }
    }
}

/// The norm of what heads have read, each by itself, and the gate that follows it.
struct OutputNorm: Sendable {
    let weight: Tensor
    let epsilon: Float
    /// What the gate goes through.
    var gate: (@Sendable (Pointwise) -> Pointwise) = { .silu($0) }

    /// read (B, T, H, V) and, where there is one, its gate (B, T, H · V) → (B, T, H · V).
    func callAsFunction(_ read: Tensor, gate logits: Tensor?) throws -> Tensor {
        let normed = try read.rmsNorm(weight: weight, epsilon: epsilon)
        let flat = try normed.reshaped(Array(read.shape.prefix(2)) + [read.shape[2] * read.shape[3]])
        guard let logits else { return flat }
        return try Tensor.pointwise(flat, logits) { $0 * gate($1) }
    }
}

extension Tensor {
    /// Heads (B, T, N, W), each `count` times one after another: (B, T, N · count, W), at most ``HeadSet/mostHeads``.
    func repeatingHeads(_ count: Int) throws -> Tensor {
        var all = self
        for copies in 1..<max(1, count) {
            let total = shape[2] * (copies + 1)
            let last = HeadSet(stride(from: copies, to: total, by: copies + 1))
            all = try joined(with: all, as: last, of: total)
        }
        return all
    }

    /// The same numbers, float32, recorded: of weights that products would read in fewer bits.
    func widened() throws -> Tensor { dtype == .float32 ? self : try Tensor.pointwise(self, as: .float32) { $0 } }
}

extension MixerOptionsReader {
    /// Refuses what no published layer has here: residuals of many layers, and norms without weights.
    func requirePublished() throws {
        try require("attnres_block_size", equals: .null)
        try require("elementwise_affine", equals: .bool(true))
        if let activation = json["hidden_act"], activation != .null { try requireOne("hidden_act", ["swish", "silu"]) }
    }

    /// Refuses all but some words.
    func requireOne(_ key: String, _ words: [String]) throws {
        guard let found = json[key], found != .null else { return }
        guard case .string(let word) = found, words.contains(word) else {
            throw refusal(key, expected: words.map { "'\($0)'" }.joined(separator: " or "), found: found)
        }
    }

    /// Query heads, and how many share keys and values.
    func publishedHeads(default fallback: Int, shared key: String = "num_kv_heads") throws -> (heads: Int, group: Int) {
        let heads = try integer("num_heads", in: 1...1 << 16) ?? fallback
        let shared = try integer(key, in: 1...1 << 16) ?? heads
        guard heads % shared == 0 else {
            throw refusal(key, expected: "a divisor of num_heads (\(heads))", found: .integer(shared))
        }
        return (heads, heads / shared)
    }

    /// The width of each of `heads` heads that are as wide together as `unit` times the factor under `key`.
    func width(_ key: String, default fallback: Double, of unit: Int, heads: Int) throws -> Int {
        let factor = try number(key, in: 0...64) ?? fallback
        let whole = Double(unit) * factor
        let width = Int((whole / Double(heads)).rounded())
        guard width >= 1, width <= 1 << 14, abs(Double(width * heads) - whole) < 1e-3 else {
            throw refusal(
                key, expected: "a factor that makes \(unit) a multiple of \(heads) heads", found: .number(factor))
        }
        return width
    }

    /// Refuses more heads than can be told apart, where some share keys.
    func requireFewHeads(_ key: String, _ heads: Int, group: Int) throws {
        guard group > 1, heads > HeadSet.mostHeads else { return }
        throw refusal(
            key, expected: "at most \(HeadSet.mostHeads) heads where some share queries or keys",
            found: .integer(heads))
    }

    /// Tokens that short convolutions weigh together; nil without them.
    func convolutionWidth(default isThere: Bool) throws -> Int? {
        guard try flag("use_short_conv") ?? isThere else { return nil }
        return try integer("conv_size", in: 2...ShortConvolution.mostWidth) ?? 4
    }

    /// What norms add to the mean square.
    func epsilon(default fallback: Double = 1e-6) throws -> Float {
        Float(try number("norm_eps", in: 0...1) ?? fallback)
    }
}
