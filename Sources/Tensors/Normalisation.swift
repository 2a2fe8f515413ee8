/// How rows are brought to one size: y / √(mean(y²) + ε) · weight + bias over the last dimension, K = `weight.count`.
public struct Normalisation: Sendable {
    /// What y is.
    public enum Kind: String, Sendable, CaseIterable {
        /// x itself (Zhang and Sennrich 2019, arXiv 1910.07467); without a bias.
        case rms
        /// x less its mean (Ba, Kiros and Hinton 2016, arXiv 1607.06450).
        case layer
    }

    /// Whether the mean is taken away.
    public var kind: Kind
    /// Weights (K), float32.
    public var weight: Tensor
    /// What is added at the end, (K) float32; nil for nothing.
    public var bias: Tensor?
    /// ε, added to the mean square.
    public var epsilon: Float

    /// A normalisation; what does not fit throws where it is used.
    public init(_ kind: Kind, weight: Tensor, bias: Tensor? = nil, epsilon: Float) {
        (self.kind, self.weight, self.bias, self.epsilon) = (kind, weight, bias, epsilon)
    }

    /// Refuses weights and biases that do not go with rows of `width` elements.
    func require(_ operation: String, width: Int) throws {
        try weight.require(operation, "weight", [width])
        guard let bias else { return }
        guard kind == .layer else {
            throw TensorError.range(
                operation: operation, argument: "bias", expected: "none for a root mean square norm", found: "one")
        }
        try bias.require(operation, "bias", [width])
    }
}
