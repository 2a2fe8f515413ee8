import Tensors

/// The state of a memory that is one matrix (K, V) for each key/value head, and what is common to such memories.
enum MatrixState {
    /// The tensor's name in files.
    static let name = "state"

    static func tensors(_ layer: MemoryLayer) -> [StateTensor] {
        tensors(layer.keyValueHeads, layer.headDim, layer.headDim)
    }

    /// Matrices (K, V) of so many heads.
    static func tensors(_ heads: Int, _ keyDim: Int, _ valueDim: Int) -> [StateTensor] {
        [StateTensor(name, heads, keyDim, valueDim, isUpdatedInPlace: true)]
    }

    /// ``Tensor/gatedLinear(q:k:v:logDecays:scale:state:documents:)`` of the state that there is, if any.
    static func gatedLinear(
        q: Tensor, k: Tensor, v: Tensor, logDecays: Tensor, scale: Float = 1, _ documents: Documents?,
        _ state: inout MemoryTensors
    ) throws -> Tensor {
        try state.update(name) {
            try Tensor.gatedLinear(
                q: q, k: k, v: v, logDecays: logDecays, scale: scale, state: &$0, documents: documents)
        } whole: {
            try Tensor.gatedLinear(q: q, k: k, v: v, logDecays: logDecays, scale: scale, documents: documents)
        }
    }

    /// ``Tensor/gatedDelta(q:k:v:logDecays:betas:scale:state:documents:)`` of the state that there is, if any.
    static func gatedDelta(
        q: Tensor, k: Tensor, v: Tensor, logDecays: Tensor, betas: Tensor, scale: Float = 1,
        _ documents: Documents?, _ state: inout MemoryTensors
    ) throws -> Tensor {
        try state.update(name) {
            try Tensor.gatedDelta(
                q: q, k: k, v: v, logDecays: logDecays, betas: betas, scale: scale, state: &$0, documents: documents)
        } whole: {
            try Tensor.gatedDelta(
                q: q, k: k, v: v, logDecays: logDecays, betas: betas, scale: scale, documents: documents)
        }
    }

    /// ``Tensor/generalDelta(q:k:v:logDecays:rankOne:scale:state:documents:)`` of the state that there is, if any.
    static func generalDelta(
        q: Tensor, k: Tensor, v: Tensor, logDecays: Tensor, rankOne: Recurrence.RankOne, _ documents: Documents?,
        _ state: inout MemoryTensors
    ) throws -> Tensor {
        try state.update(name) {
            try Tensor.generalDelta(
                q: q, k: k, v: v, logDecays: logDecays, rankOne: rankOne, scale: 1, state: &$0, documents: documents)
        } whole: {
            try Tensor.generalDelta(
                q: q, k: k, v: v, logDecays: logDecays, rankOne: rankOne, scale: 1, documents: documents)
        }
    }
}

extension MatrixState {
    /// Keys k (B, T, n, K) as a state takes them in that only adds: k √(1 - a²) with a = exp(log decay), of each head (B, T, n, 1) or
    /// channel (B, T, n, K). Without that a state is the larger the more slowly it forgets; with it, it is as large as one value
    /// (Orvieto et al. 2023, arXiv 2303.06349, section 3.4).
    static func balanced(_ k: Tensor, _ logDecays: Tensor) throws -> Tensor {
        // Bounded, for the slope of the root is infinite where nothing is forgotten.
        try Tensor.pointwise(k, logDecays) { $0 * .sqrt(.max(1 - .exp(2 * $1), 1e-6)) }
    }
}

extension MemoryInput {
    /// Queries and keys of length 1, as matrix states want them: whatever the source's lengths are, what is written to a state
    /// has the length of its value.
    func unitQueriesAndKeys() throws -> (q: Tensor, k: Tensor) {
        (try q.l2Normed(epsilon: 1e-6), try k.l2Normed(epsilon: 1e-6))
    }

    /// The outputs of a map for each of the n key/value heads: (B, T, n · C) → (B, T, n, C).
    func perHead(_ outputs: Tensor) throws -> Tensor {
        try outputs.reshaped(Array(k.shape.prefix(3)) + [outputs.shape[2] / max(1, k.shape[2])])
    }
}

extension Tensor {
    /// A number of each head, (n), as it goes along with (B, T, n, ·).
    func perHead() throws -> Tensor { try reshaped([count, 1]) }
}

/// Log decays logsigmoid(W x + b) / 8 of each head, or of each of its channels, that begin with half-lives from `shortest` to 4,096
/// tokens: one for each output of the map.
struct DecayGate: Sendable {
    /// The map x → gates (n · C), or its second half.
    private let map: Linear
    /// The first half of a map of low rank.
    private let narrow: Linear?

    /// As Gated Slot Attention's: so that a gate of 0 forgets slowly.
    static let divisor: Float = 8

    /// - Parameters:
    ///   - channels: gates of each key/value head, C.
    ///   - rank: of the map; nil for a whole one.
    static func rules(
        _ layer: MemoryLayer, channels: Int, rank: Int? = nil, shortest: Double, divisor: Float = divisor
    ) -> [ParameterRule] {
        let (prefix, gates) = (layer.prefix, layer.keyValueHeads * channels)
        let bias = ParameterRule.new(
            "\(prefix).gate_proj.bias", shape: [gates],
            .halfLives(
                slots: channels == 1 ? layer.keyValueHeads : channels, shortest: shortest, longest: 4096,
                divisor: Double(divisor)))
        guard let rank else {
            return [
                .new(
                    "\(prefix).gate_proj.weight", shape: [gates, layer.hiddenSize],
                    .map(outputs: 0.08, norm: layer.norm)),
                bias,
            ]
        }
        return [
            .new("\(prefix).gate_in_proj.weight", shape: [rank, layer.hiddenSize], .map(outputs: 1, norm: layer.norm)),
            .new("\(prefix).gate_proj.weight", shape: [gates, rank], .map(outputs: 0.08, norm: nil)), bias,
        ]
    }

    init(_ layer: MemoryLayer, parameters: Parameters, isNarrow: Bool = false) throws {
        map = try parameters.linear("\(layer.prefix).gate_proj", hasBias: true)
        narrow = isNarrow ? try parameters.linear("\(layer.prefix).gate_in_proj") : nil
    }

    /// The map of the layer's input.
    var inputMap: Linear { narrow ?? map }

    /// What goes into logsigmoid, (B, T, n, C), where output `index` of the input's maps is that of ``inputMap``.
    func logits(_ input: MemoryInput, at index: Int) throws -> Tensor {
        let outputs = input.maps[index]
        return try input.perHead(narrow == nil ? outputs : input.linear(outputs, [map])[0])
    }

    /// Log decays (B, T, n, C), float32.
    func callAsFunction(_ input: MemoryInput, at index: Int) throws -> Tensor {
        try Tensor.pointwise(logits(input, at: index), as: .float32) { .logSigmoid($0) / Self.divisor }
    }
}
