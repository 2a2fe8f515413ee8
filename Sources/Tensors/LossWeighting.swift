/// What the losses of rows are multiplied with before they are added up and differentiated.
public struct LossWeighting {
    /// What the sum is multiplied with, in its gradients alone.
    public var scale: Float
    /// The same as a float32 scalar on the device; 1 when nil.
    public var factor: Tensor?
    /// A weight for each row, float32 (R), of the losses that are given back too; 1 when nil.
    public var weights: Tensor?

    /// A weighting by a number, a scalar on the device, and a weight for each row.
    public init(scale: Float, factor: Tensor? = nil, weights: Tensor? = nil) {
        (self.scale, self.factor, self.weights) = (scale, factor, weights)
    }
}
