import Support
import Tensors

/// Gated Linear Attention (Yang et al. 2024, arXiv 2312.06635): a matrix for each key/value head that takes in v at k and forgets
/// each channel of the keys at a rate of its own, which depends on the token by a map of low rank:
///
///     S_t = Diag(a_t) S_{t-1} + √(1 - a_t²) ⊙ k_t v_tᵀ      o_t = S_tᵀ q_t
///
/// q and k are the source's, without positions and of length 1. The root stands for the paper's norm of the output, which would make
/// the most of what is next to nothing; its output gate is the share of the window.
public struct GatedLinearAttention: LongMemory {
    public static let name = "gla"
    public static let title = "Gated Linear Attention (arXiv 2312.06635)"
    public static let flashLinearAttentionType: String? = "gla"
    public typealias Options = NoMemoryOptions

    /// Of the map to the gates (paper, section 4.4).
    private static let rank = 16

    private let gate: DecayGate

    public static func rules(_ layer: MemoryLayer, _ options: Options) -> [ParameterRule] {
        DecayGate.rules(layer, channels: layer.headDim, rank: rank, shortest: 2)
    }

    public static func state(_ layer: MemoryLayer, _ options: Options) -> [StateTensor] { MatrixState.tensors(layer) }

    public init(_ layer: MemoryLayer, _ options: Options, parameters: Parameters) throws {
        gate = try DecayGate(layer, parameters: parameters, isNarrow: true)
    }

    public var inputMaps: [Linear] { [gate.inputMap] }
    public var isRotated: Bool { false }

    public func callAsFunction(_ input: MemoryInput, state: inout MemoryTensors) throws -> Tensor {
        let (q, k) = try input.unitQueriesAndKeys(), logDecays = try gate(input, at: 0)
        return try MatrixState.gatedLinear(
            q: q, k: MatrixState.balanced(k, logDecays), v: input.v, logDecays: logDecays, input.documents, &state)
    }
}
