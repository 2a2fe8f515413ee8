/// The second moment of a linear map's inputs, H = Σ x xᵀ over the rows x of every input: what tells how much an error
/// in each of the map's weights, and in any two of them together, changes its output.
public struct InputMoment: Sendable {
    /// Inputs of the map, I.
    public let inputs: Int
    /// Rows added.
    public private(set) var rows = 0
    /// H (I, I), float32; nil before the first row.
    public private(set) var sum: Tensor?

    /// The moment of no rows, for a map of `inputs` inputs.
    public init(inputs: Int) { self.inputs = inputs }

    /// Adds the rows of x (..., I), float32.
    public mutating func add(_ x: Tensor) throws {
        try x.requireFloat32("InputMoment.add", "x")
        guard x.shape.last == inputs else {
            throw TensorError.shape(
                operation: "InputMoment.add", argument: "x", expected: "[..., \(inputs)]", found: x.shape)
        }
        try x.device.gradientBackend.accumulateLinearGradient(x, x: x, into: &sum, half: true)
        rows += x.count / max(inputs, 1)
    }
}
