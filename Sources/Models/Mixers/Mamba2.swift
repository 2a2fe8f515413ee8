import Support
import Tensors

/// The state space model of Mamba-2 (Dao and Gu 2024, arXiv 2405.21060) in its dual form: a matrix for each key/value head, time steps
/// dt that depend on the token, and a rate A of the head's own, so that what is taken in strongly makes much be forgotten:
///
///     S_t = exp(-A dt_t) S_{t-1} + dt_t B_t x_tᵀ      y_t = S_tᵀ C_t
///
/// C, B and x are the source's q, k and v, as in MambaInLlama (Wang et al. 2024, arXiv 2408.15237), q and k without positions and of
/// length 1. dt = softplus(-(W x + b)) begins with half-lives from 16 to 4,096 tokens, A as 1. The paper's skip D is 0, for a
/// token sees itself in the state and in the window, and its gate is the window's share; it has no convolution here.
public struct Mamba2: LongMemory {
    public static let name = "mamba2"
    public static let title = "Mamba-2 (arXiv 2405.21060)"
    public typealias Options = NoMemoryOptions

    private let step: DecayGate
    /// log A (n).
    private let rates: Tensor

    public static func rules(_ layer: MemoryLayer, _ options: Options) -> [ParameterRule] {
        DecayGate.rules(layer, channels: 1, shortest: 16, divisor: 1)
            + [.new("\(layer.prefix).A_log", shape: [layer.keyValueHeads], .constant(0))]
    }

    public static func state(_ layer: MemoryLayer, _ options: Options) -> [StateTensor] { MatrixState.tensors(layer) }

    public init(_ layer: MemoryLayer, _ options: Options, parameters: Parameters) throws {
        step = try DecayGate(layer, parameters: parameters)
        rates = try parameters["\(layer.prefix).A_log"]
    }

    public var inputMaps: [Linear] { [step.inputMap] }
    public var isRotated: Bool { false }

    public func callAsFunction(_ input: MemoryInput, state: inout MemoryTensors) throws -> Tensor {
        let (q, unit) = try input.unitQueriesAndKeys()
        let logits = try step.logits(input, at: 0)
        let logDecays = try Tensor.pointwise(logits, rates.perHead(), as: .float32) { .logSigmoid($0) * .exp($1) }
        let k = try Tensor.pointwise(unit, logits) { $0 * .softplus(-$1) }
        return try MatrixState.gatedLinear(
            q: q, k: k, v: input.v, logDecays: logDecays, input.documents, &state)
    }
}
