import Support
import Tensors

/// Retention (Sun et al. 2023, arXiv 2307.08621): a matrix for each key/value head that takes in v at k and forgets at a rate of
/// the head's own, whatever the tokens are:
///
///     S_t = a S_{t-1} + √(1 - a²) k_t v_tᵀ      o_t = S_tᵀ q_t
///
/// The rates begin with half-lives from 16 to 4,096 tokens, where the paper fixes them at 22 and the doubles of that, and are
/// learned as other parameters are. The root stands for the paper's norm of the output. q and k are the source's, with its rotary positions, and of length 1.
public struct Retention: LongMemory {
    public static let name = "retention"
    public static let title = "Retention (arXiv 2307.08621)"
    public static let flashLinearAttentionType: String? = "retnet"
    public typealias Options = NoMemoryOptions

    /// What goes into logsigmoid(·) / 8 (n).
    private let rates: Tensor

    public static func rules(_ layer: MemoryLayer, _ options: Options) -> [ParameterRule] {
        [
            .new(
                "\(layer.prefix).decay", shape: [layer.keyValueHeads],
                .halfLives(
                    slots: layer.keyValueHeads, shortest: 16, longest: 4096, divisor: Double(DecayGate.divisor)))
        ]
    }

    public static func state(_ layer: MemoryLayer, _ options: Options) -> [StateTensor] { MatrixState.tensors(layer) }

    public init(_ layer: MemoryLayer, _ options: Options, parameters: Parameters) throws {
        rates = try parameters["\(layer.prefix).decay"]
    }

    public var isRotated: Bool { true }

    public func callAsFunction(_ input: MemoryInput, state: inout MemoryTensors) throws -> Tensor {
        let (q, k) = try input.unitQueriesAndKeys()
        let every = try Tensor.zeros(Array(k.shape.prefix(3)) + [1], on: k.device)
        let logDecays = try Tensor.pointwise(every, rates.perHead(), as: .float32) {
            $0 + .logSigmoid($1) / DecayGate.divisor
        }
        return try MatrixState.gatedLinear(
            q: q, k: MatrixState.balanced(k, logDecays), v: input.v, logDecays: logDecays, input.documents, &state)
    }
}
