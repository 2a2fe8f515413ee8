import Support
import Tensors

/// The time mixing of RWKV-7 (Peng et al. 2025, arXiv 2503.14456): a matrix for each key/value head that is corrected as
/// ``GatedDeltaNet``'s is, but channel by channel: each channel of the keys has a decay w and a learning rate η of its own, which depend on
/// the token by maps of low rank, and what is taken out stands under a key κ of its own:
///
///     S_t = (Diag(w_t) - (η_t ⊙ κ_t) κ_tᵀ) S_{t-1} + k_t v_tᵀ      o_t = S_tᵀ r_t
///     κ = ξ ⊙ k̂ of length 1      k = k̂ ⊙ (1 + α ⊙ (η - 1))
///
/// r, k̂ and v are the source's q, k and v, the first two without positions and of length 1. ξ and α begin as 1, so that at first v replaces
/// the share η of what k̂ recalls. Decays have the form that all memories here have; the paper's token shifts, bonus, norm of the output
/// and gate are what the window and its share are.
public struct RWKV7: LongMemory {
    public static let name = "rwkv7"
    public static let title = "RWKV-7 (arXiv 2503.14456)"
    public typealias Options = NoMemoryOptions

    /// Of the maps to decays and learning rates.
    private static func rank(_ layer: MemoryLayer) -> Int { layer.headDim }

    private let decay: DecayGate
    /// x → what goes into η's sigmoid, (n · K) by a map of low rank.
    private let narrow, wide: Linear
    /// ξ and α (n · K).
    private let removal, replacement: Tensor

    public static func rules(_ layer: MemoryLayer, _ options: Options) -> [ParameterRule] {
        let (prefix, rank, channels) = (layer.prefix, rank(layer), layer.keyValueHeads * layer.headDim)
        return DecayGate.rules(layer, channels: layer.headDim, rank: rank, shortest: 2) + [
            .new("\(prefix).rate_in_proj.weight", shape: [rank, layer.hiddenSize], .map(outputs: 1, norm: layer.norm)),
            .new("\(prefix).rate_proj.weight", shape: [channels, rank], .map(outputs: 0.08, norm: nil)),
            .new("\(prefix).rate_proj.bias", shape: [channels], .constant(0)),
            .new("\(prefix).removal_key", shape: [channels], .constant(1)),
            .new("\(prefix).replacement", shape: [channels], .constant(1)),
        ]
    }

    public static func state(_ layer: MemoryLayer, _ options: Options) -> [StateTensor] { MatrixState.tensors(layer) }

    public init(_ layer: MemoryLayer, _ options: Options, parameters: Parameters) throws {
        let prefix = layer.prefix
        decay = try DecayGate(layer, parameters: parameters, isNarrow: true)
        narrow = try parameters.linear("\(prefix).rate_in_proj")
        wide = try parameters.linear("\(prefix).rate_proj", hasBias: true)
        removal = try parameters["\(prefix).removal_key"]
        replacement = try parameters["\(prefix).replacement"]
    }

    public var inputMaps: [Linear] { [decay.inputMap, narrow] }
    public var isRotated: Bool { false }

    public func callAsFunction(_ input: MemoryInput, state: inout MemoryTensors) throws -> Tensor {
        let (r, unit) = try input.unitQueriesAndKeys(), shape = Array(unit.shape.suffix(2))
        let rates = try input.perHead(input.linear(input.maps[1], [wide])[0])
        let removed = try Tensor.pointwise(unit, removal.reshaped(shape)) { $0 * $1 }.l2Normed(epsilon: 1e-6)
        let rankOne = Recurrence.RankOne(
            reads: try Tensor.pointwise(removed) { -$0 },
            writes: try Tensor.pointwise(removed, rates) { $0 * .sigmoid($1) })
        let k = try Tensor.pointwise(unit, rates, replacement.reshaped(shape)) { k, rate, share in
            k * (1 - share * .sigmoid(-rate))
        }
        return try MatrixState.generalDelta(
            q: r, k: k, v: input.v, logDecays: decay(input, at: 0), rankOne: rankOne, input.documents, &state)
    }
}
