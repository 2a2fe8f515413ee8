/// What an MLP does to each element between its products.
public enum Activation: String, Sendable, CaseIterable {
    /// x · sigmoid(x).
    case silu
    /// x · Φ(x), by the error function (Hendrycks and Gimpel 2016, arXiv 1606.08415).
    case gelu
    /// The same by a hyperbolic tangent: x · sigmoid(2u), u = √(2/π) · (x + 0.044715 x³).
    case geluTanh = "gelu_tanh"
}
