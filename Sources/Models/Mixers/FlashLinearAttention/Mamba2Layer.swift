import Checkpoints
import Support
import Tensors

/// Mamba-2 as published (Dao and Gu 2024, arXiv 2405.21060), in the form of its dual: x, B and C go through one short convolution, a
/// skip D passes x on, and z gates what is read, before or after a norm:
///
///     dt = softplus(δ(x) + b)      S_t = exp(-exp(A) dt_t) S_{t-1} + dt_t B_t x_tᵀ      y_t = S_tᵀ C_t + D ⊙ x_t
///
/// Heads of a group share B and C.
struct Mamba2Layer: PublishedLayer {
    static let modelType = "mamba2"
    static let title = "Mamba-2, flash-linear-attention's layer (arXiv 2405.21060)"

    struct Options: PublishedOptions {
        /// Heads, and the groups of them that share B and C.
        let heads, groups: Int
        /// Of B and C, and of a head of x.
        let keyDim, valueDim: Int
        let convolution: ConvolvedMap.Options
        let hasBias: Bool
        /// Whether D has a number for each channel, instead of for each head.
        let hasWideSkip: Bool
        /// What dt is kept within; nil for no bound.
        let least, most: Float?
        let epsilon: Float
        let norm: Norm

        enum Norm: Sendable { case none, beforeGate, afterGate }

        init(_ file: MixerOptionsReader) throws {
            let hiddenSize = file.decoder.hiddenSize
            if let found = file.json["layer_norm_epsilon"], found != .null {
                throw file.refusal(
                    "layer_norm_epsilon", expected: "norm_eps, as flash-linear-attention has it and not transformers",
                    found: found)
            }
            try file.requireOne("hidden_act", ["silu", "swish"])
            let wide = try file.width("expand", default: 2, of: hiddenSize, heads: 1)
            valueDim = try file.integer("head_dim", in: 1...1 << 14) ?? 64
            guard wide % valueDim == 0 else {
                throw file.refusal(
                    "head_dim", expected: "a divisor of expand · hidden_size (\(wide))", found: .integer(valueDim))
            }
            heads = wide / valueDim
            try file.require("num_heads", equals: .integer(heads))
            groups = try file.integer("n_groups", in: 1...heads) ?? 1
            guard heads % groups == 0 else {
                throw file.refusal("n_groups", expected: "a divisor of \(heads) heads", found: .integer(groups))
            }
            try file.requireFewHeads("head_dim", heads, group: heads / groups)
            keyDim = try file.integer("state_size", in: 1...1 << 14) ?? 128
            convolution = ConvolvedMap.Options(
                width: try file.integer("conv_kernel", in: 2...ShortConvolution.mostWidth) ?? 4, activation: .silu,
                hasBias: try file.flag("use_conv_bias") ?? true)
            (hasBias, hasWideSkip) = (try file.flag("use_bias") ?? false, try file.flag("D_has_hdim") ?? false)
            (least, most) = try Self.limits(file)
            epsilon = try file.epsilon(default: 1e-5)
            let isBefore = try file.flag("norm_before_gate") ?? false
            norm = try file.flag("rmsnorm") ?? true ? (isBefore ? .beforeGate : .afterGate) : .none
        }

        private static func limits(_ file: MixerOptionsReader) throws -> (Float?, Float?) {
            guard let found = file.json["dt_limit"], found != .null else { return (nil, nil) }
            guard case .array(let limits) = found, limits.count == 2 else {
                throw file.refusal("dt_limit", expected: "the least and the most", found: found)
            }
            // Infinity, which JSON has no word for, is said in more than one way.
            let numbers = limits.map { $0.doubleValue.map { Float($0) } }
            guard let least = numbers[0], least >= 0, numbers[1] ?? .infinity >= least else {
                throw file.refusal("dt_limit", expected: "two numbers from 0 on, in order", found: found)
            }
            return (least > 0 ? least : nil, numbers[1].flatMap { $0.isFinite ? $0 : nil })
        }

        /// Of all values together.
        var width: Int { heads * valueDim }

        /// The letters of the convolved maps, and their outputs.
        var convolved: [(letter: String, outputs: Int)] {
            [("c", groups * keyDim), ("b", groups * keyDim), ("x", width)]
        }
    }

    private let options: Options
    private let convolved: [ConvolvedMap]
    private let step, gate: Linear
    let outputMap: Linear
    /// Numbers of heads (H), and the skip (H) or (H · P).
    private let rates, shift, skip: Tensor
    /// Of the norm (H · P), and ones for one group.
    private let weight, ones: Tensor?

    static func rules(_ place: PublishedPlace, _ options: Options) -> [ParameterRule] {
        func map(_ name: String, _ outputs: Int) -> [ParameterRule] {
            [place.map(name, outputs)] + (options.hasBias ? [place.stored("\(name).bias", outputs)] : [])
        }
        var rules = options.convolved.flatMap { letter, outputs in
            ConvolvedMap.rules(place, letter, outputs, options.convolution)
                + (options.hasBias ? [place.stored("\(letter)_proj.bias", outputs)] : [])
        }
        rules += map("z_proj", options.width) + map("dt_proj", options.heads)
        rules += [
            place.stored("A_log", options.heads), place.stored("dt_bias", options.heads),
            place.stored("D", options.hasWideSkip ? options.width : options.heads),
            place.map("out_proj", place.hiddenSize, inputs: options.width),
        ]
        if options.hasBias { rules.append(place.stored("out_proj.bias", place.hiddenSize)) }
        return rules + (options.norm == .none ? [] : [place.stored("gate_norm.weight", options.width)])
    }

    static func state(_ options: Options) -> [StateTensor] {
        MatrixState.tensors(options.heads, options.keyDim, options.valueDim)
            + options.convolved.flatMap { ConvolvedMap.state($0.letter, $0.outputs, options.convolution) }
    }

    init(_ place: PublishedPlace, _ options: Options, parameters: Parameters) throws {
        self.options = options
        let prefix = place.prefix
        convolved = try options.convolved.map {
            try ConvolvedMap(
                place, $0.letter, options.convolution, hasBias: options.hasBias, parameters: parameters)
        }
        step = try parameters.linear("\(prefix).dt_proj", hasBias: options.hasBias)
        gate = try parameters.linear("\(prefix).z_proj", hasBias: options.hasBias)
        outputMap = try parameters.linear("\(prefix).out_proj", hasBias: options.hasBias)
        rates = try parameters["\(prefix).A_log"]
        shift = try parameters["\(prefix).dt_bias"]
        skip = try parameters["\(prefix).D"]
        let row = options.width / options.groups
        weight = options.norm == .none ? nil : try parameters["\(prefix).gate_norm.weight"]
        ones = weight == nil ? nil : try Tensor([Float](repeating: 1, count: row), shape: [row]).to(skip.device)
    }

    var inputMaps: [Linear] { convolved.map(\.map) + [step, gate] }

    func callAsFunction(_ input: PublishedInput, state: inout MemoryTensors) throws -> Tensor {
        let (heads, groups) = (options.heads, options.groups)
        let parts = try zip(convolved, input.maps).map { try $0($1, input, &state) }
        let c = try input.heads(parts[0], groups).repeatingHeads(heads / groups)
        let b = try input.heads(parts[1], groups).repeatingHeads(heads / groups)
        let x = try input.heads(parts[2], heads)
        let steps = try Tensor.pointwise(input.heads(input.maps[3], heads), shift.perHead(), as: .float32) {
            step, shift in
            let positive = Pointwise.softplus(step + shift)
            let above = options.least.map { .max(positive, $0) } ?? positive
            return options.most.map { .min(above, $0) } ?? above
        }
        let decays = try Tensor.pointwise(steps, rates.perHead(), as: .float32) { -(.exp($1) * $0) }
        let read = try MatrixState.gatedLinear(
            q: c, k: b, v: Tensor.pointwise(x, steps) { $0 * $1 }, logDecays: decays, input.documents, &state)
        let skip = try skip.reshaped([heads, skip.count / heads])
        let all = try Tensor.pointwise(read, x, skip) { $0 + $1 * $2 }
        return try gated(all.reshaped(input.maps[4].shape), by: input.maps[4])
    }

    /// What was read (B, T, H · P), gated by z and normed, in whichever order.
    private func gated(_ read: Tensor, by logits: Tensor) throws -> Tensor {
        func gate(_ x: Tensor) throws -> Tensor { try Tensor.pointwise(x, logits) { $0 * .silu($1) } }
        switch options.norm {
        case .none: return try gate(read)
        case .beforeGate: return try gate(normed(read))
        case .afterGate: return try normed(gate(read))
        }
    }

    /// Each group by itself.
    private func normed(_ x: Tensor) throws -> Tensor {
        guard let weight, let ones else { return x }
        let rows = try x.reshaped(Array(x.shape.prefix(2)) + [options.groups, ones.count])
            .rmsNorm(weight: ones, epsilon: options.epsilon).reshaped(x.shape)
        return try Tensor.pointwise(rows, weight) { $0 * $1 }
    }
}
