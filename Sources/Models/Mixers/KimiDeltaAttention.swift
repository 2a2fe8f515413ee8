import Support
import Tensors

/// Kimi Delta Attention (Kimi Team 2025, arXiv 2510.26692): ``GatedDeltaNet`` with a rate of forgetting for each channel of the keys, by
/// a map of low rank:
///
///     S_t = (I - β_t k_t k_tᵀ) Diag(a_t) S_{t-1} + β_t k_t v_tᵀ      o_t = S_tᵀ q_t
public struct KimiDeltaAttention: LongMemory {
    public static let name = "kda"
    public static let title = "Kimi Delta Attention (arXiv 2510.26692)"
    public typealias Options = NoMemoryOptions

    /// Of the map to the gates.
    private static func rank(_ layer: MemoryLayer) -> Int { layer.headDim }

    private let rule: DeltaRule

    public static func rules(_ layer: MemoryLayer, _ options: Options) -> [ParameterRule] {
        DecayGate.rules(layer, channels: layer.headDim, rank: rank(layer), shortest: 2) + DeltaRule.rules(layer)
    }

    public static func state(_ layer: MemoryLayer, _ options: Options) -> [StateTensor] { MatrixState.tensors(layer) }

    public init(_ layer: MemoryLayer, _ options: Options, parameters: Parameters) throws {
        let gate = try DecayGate(layer, parameters: parameters, isNarrow: true)
        rule = try DeltaRule(layer, gate: gate, parameters: parameters)
    }

    public var inputMaps: [Linear] { rule.inputMaps }
    public var isRotated: Bool { false }

    public func callAsFunction(_ input: MemoryInput, state: inout MemoryTensors) throws -> Tensor {
        try rule.read(input, &state)
    }
}
