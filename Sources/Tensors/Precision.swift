/// The numbers in which a model computes: the type of activations and of their gradients. That of weights, states, sums and
/// gradients of parameters does not depend on it.
public enum Precision: String, Sendable, CaseIterable {
    case float32 = "f32"
    case bfloat16 = "bf16"

    /// The elements' type.
    public var dtype: DType {
        switch self {
        case .float32: .float32
        case .bfloat16: .bfloat16
        }
    }
}
