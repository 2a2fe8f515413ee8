import Support
import Tensors

/// Gated DeltaNet (Yang et al. 2025, arXiv 2412.06464): a matrix for each key/value head that is corrected, not only added to. Of what
/// k recalls, v replaces the share β; before that the whole head forgets at a rate that depends on the token:
///
///     S_t = a_t (I - β_t k_t k_tᵀ) S_{t-1} + β_t k_t v_tᵀ      o_t = S_tᵀ q_t
///
/// q and k are the source's, without positions and of length 1: so what a key recalls is as large as the values are, and needs no
/// norm. The paper's short convolutions and output gate are what the window and its share are here.
public struct GatedDeltaNet: LongMemory {
    public static let name = "gated_deltanet"
    public static let title = "Gated DeltaNet (arXiv 2412.06464)"
    public typealias Options = NoMemoryOptions

    private let rule: DeltaRule

    public static func rules(_ layer: MemoryLayer, _ options: Options) -> [ParameterRule] {
        DecayGate.rules(layer, channels: 1, shortest: 16) + DeltaRule.rules(layer)
    }

    public static func state(_ layer: MemoryLayer, _ options: Options) -> [StateTensor] { MatrixState.tensors(layer) }

    public init(_ layer: MemoryLayer, _ options: Options, parameters: Parameters) throws {
        let gate = try DecayGate(layer, parameters: parameters)
        rule = try DeltaRule(layer, gate: gate, parameters: parameters)
    }

    public var inputMaps: [Linear] { rule.inputMaps }
    public var isRotated: Bool { false }

    public func callAsFunction(_ input: MemoryInput, state: inout MemoryTensors) throws -> Tensor {
        try rule.read(input, &state)
    }
}
