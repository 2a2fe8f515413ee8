/// A parameter in a step of AdamW: float32 tensors of one shape, and `copy`, which receives the parameter in bfloat16.
public struct AdamWParameter: Sendable {
    /// The parameter itself, which a step changes.
    public var value: Tensor
    /// The gradient of the loss.
    public var gradient: Tensor
    /// The running mean of gradients, which a step changes.
    public var first: Tensor
    /// The running mean of their squares, which a step changes.
    public var second: Tensor
    /// Receives the parameter in bfloat16; nil where products read the parameter itself.
    public var copy: Tensor?
    /// The parameter's learning rate, relative to the step's.
    public var rateScale: Float
    /// Decoupled weight decay; 0 for none.
    public var weightDecay: Float
    /// Whether the gradient counts in the norm; of what several processes have alike, at one of them.
    public var counts: Bool

    /// A parameter and what AdamW remembers of it, all of one shape.
    public init(
        value: Tensor, gradient: Tensor, first: Tensor, second: Tensor, copy: Tensor?, rateScale: Float = 1,
        weightDecay: Float = 0, counts: Bool = true
    ) {
        (self.value, self.gradient, self.first, self.second, self.copy) = (value, gradient, first, second, copy)
        (self.rateScale, self.weightDecay, self.counts) = (rateScale, weightDecay, counts)
    }
}

/// What a step of AdamW depends on beside the tensors.
public struct AdamWSettings: Sendable {
    /// How much of the running mean of gradients each step keeps.
    public var beta1: Float
    /// How much of the running mean of their squares each step keeps.
    public var beta2: Float
    /// What is added to the root of the second mean.
    public var epsilon: Float
    /// What changes from step to step.
    public var rates: Rates
    /// Where a device reads the rates, so that recorded steps can be given others; nil where it takes ``rates``.
    public var input: Tensor?
    /// A loss, float32 scalar on the device: unless it is finite, nothing is updated.
    public var loss: Tensor?
    /// Makes of the sum of the gradients' squares, a float32 scalar on the device, that of all processes that share the parameters.
    public var uniting: (@Sendable (Tensor) throws -> Tensor)?

    /// Settings of these values.
    public init(beta1: Float, beta2: Float, epsilon: Float, rates: Rates, input: Tensor? = nil, loss: Tensor? = nil) {
        (self.beta1, self.beta2, self.epsilon, self.rates) = (beta1, beta2, epsilon, rates)
        (self.input, self.loss) = (input, loss)
    }

    /// What changes from step to step.
    public struct Rates: Sendable, Equatable {
        /// The rate, before each parameter's own scale.
        public var learningRate: Double
        /// Counted from 1.
        public var step: Int
        /// The norm above which gradients are scaled down to it; nil never does.
        public var clip: Double?
        /// What gradients are multiplied with.
        public var gradientScale: Double

        /// The rates of step `step`, counted from 1.
        public init(learningRate: Double, step: Int, clip: Double? = nil, gradientScale: Double = 1) {
            (self.learningRate, self.step, self.clip) = (learningRate, step, clip)
            self.gradientScale = gradientScale
        }
    }
}

/// What a step of AdamW did, once it has been done.
public struct AdamWOutcome: Sendable {
    /// The norm of all scaled gradients before clipping, without a finite one of which nothing was updated, and the first of these
    /// parameters whose gradient is not finite.
    public let read: @Sendable () throws -> (norm: Double, unfinite: Int?)
}
