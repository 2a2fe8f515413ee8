/// A norm over the last dimension, with its parameters.
public struct Normalisation: Sendable {
    /// What is normalised by what.
    public enum Kind: String, Sendable, CaseIterable {
        /// x / √(mean(x²) + ε) · w (Zhang and Sennrich 2019, arXiv 1910.07467).
        case rms
        /// (x - mean(x)) / √(variance(x) + ε) · w + b (Ba et al. 2016, arXiv 1607.06450).
        case layer
    }
    /// What is normalised by what.
    public var kind: Kind
    /// w, float32.
    public var weight: Tensor
    /// b, float32; nil for none.
    public var bias: Tensor?
    /// ε.
    public var epsilon: Float

    /// A norm of these parameters.
    public init(_ kind: Kind = .rms, weight: Tensor, bias: Tensor? = nil, epsilon: Float) {
        (self.kind, self.weight, self.bias, self.epsilon) = (kind, weight, bias, epsilon)
    }
}
