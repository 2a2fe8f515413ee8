import Support
import Tensors

/// HGRN2 (Qin et al. 2024, arXiv 2404.07904): a matrix for each key/value head whose channels each keep a mean of the values. What a
/// channel takes in is what it forgets, so that the keys are 1 - a:
///
///     S_t = Diag(a_t) S_{t-1} + (1 - a_t) v_tᵀ      o_t = S_tᵀ q_t
///
/// A channel opens where the source's key is large there: a = sigmoid(b - w · k), with k of the root mean square 1, w of 1 at first
/// and half-lives at k = 0 from 2 to 4,096 tokens. q is the source's, of length 1, and both are without positions.
public struct HGRN2: LongMemory {
    public static let name = "hgrn2"
    public static let title = "HGRN2 (arXiv 2404.07904)"
    public typealias Options = NoMemoryOptions

    /// w and b, (n · K) each.
    private let weight, bias: Tensor

    public static func rules(_ layer: MemoryLayer, _ options: Options) -> [ParameterRule] {
        let (prefix, channels) = (layer.prefix, layer.keyValueHeads * layer.headDim)
        return [
            .new("\(prefix).gate.weight", shape: [channels], .constant(1)),
            .new(
                "\(prefix).gate.bias", shape: [channels],
                .halfLives(slots: layer.headDim, shortest: 2, longest: 4096, divisor: 1)),
        ]
    }

    public static func state(_ layer: MemoryLayer, _ options: Options) -> [StateTensor] { MatrixState.tensors(layer) }

    public init(_ layer: MemoryLayer, _ options: Options, parameters: Parameters) throws {
        weight = try parameters["\(layer.prefix).gate.weight"]
        bias = try parameters["\(layer.prefix).gate.bias"]
    }

    public var isRotated: Bool { false }

    public func callAsFunction(_ input: MemoryInput, state: inout MemoryTensors) throws -> Tensor {
        let (q, unit) = try input.unitQueriesAndKeys()
        let strength = Float(unit.shape[3]).squareRoot(), shape = Array(unit.shape.suffix(2))
        let (weight, bias) = (try weight.reshaped(shape), try bias.reshaped(shape))
        func gates(as type: DType?, _ result: (Pointwise) -> Pointwise) throws -> Tensor {
            try Tensor.pointwise(unit, weight, bias, as: type) { k, w, b in result(b - w * k * strength) }
        }
        let logDecays = try gates(as: .float32) { .logSigmoid($0) }
        let k = try gates(as: nil) { .sigmoid(-$0) }
        return try MatrixState.gatedLinear(
            q: q, k: k, v: input.v, logDecays: logDecays, input.documents, &state)
    }
}
