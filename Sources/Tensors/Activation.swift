import CKernels

/// The nonlinearity of an MLP, by its name in configurations of ours.
public enum Activation: String, Sendable, CaseIterable {
    /// x · sigmoid(x).
    case silu
    /// x · Φ(x) with the normal distribution's Φ (Hendrycks and Gimpel 2016, arXiv 1606.08415).
    case gelu
    /// x · (1 + tanh(u)) / 2 with u = √(2/π) · (x + 0.044715 · x³), its approximation.
    case geluTanh = "gelu_tanh"

    var kernel: moult_activation {
        switch self {
        case .silu: moult_silu
        case .gelu: moult_gelu
        case .geluTanh: moult_gelu_tanh
        }
    }

    /// Its type in the kernels of a GPU.
    var cudaName: String {
        switch self {
        case .silu: "Silu"
        case .gelu: "Gelu"
        case .geluTanh: "GeluTanh"
        }
    }
}
