/// A weight after rounding, and what the rounding cost.
public struct QuantisedWeight: Sendable {
    /// The weight, of type ``DType/q8`` or ``DType/q4``.
    public let tensor: Tensor
    /// Σ (w - ŵ)².
    public let squaredError: Double
    /// Σ w².
    public let squaredSum: Double
    /// Groups of 32 inputs of one output.
    public let groups: Int
    /// Groups whose zero is in the middle of the codes.
    public let symmetricGroups: Int

    /// The error relative to the weights, both as root mean squares.
    public var relativeError: Double { squaredSum > 0 ? (squaredError / squaredSum).squareRoot() : 0 }
    /// The share of symmetric groups, from 0 to 1.
    public var symmetricShare: Double { groups > 0 ? Double(symmetricGroups) / Double(groups) : 0 }
}
