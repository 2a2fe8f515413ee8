/// The gradients of the inputs of GSA, each in the shape of its input.
public struct GatedSlotGradients: Sendable {
    /// (B, T, H, K)
    public var q: Tensor
    /// (B, T, N, K)
    public var k: Tensor
    /// (B, T, N, V)
    public var v: Tensor
    /// (B, T, N, M)
    public var logGates: Tensor
    /// Keys (B, N, M, K) and values (B, N, M, V); nil where there was no initial state.
    public var initial: GatedSlotState?

    /// Gradients of the shapes of what they belong to.
    public init(q: Tensor, k: Tensor, v: Tensor, logGates: Tensor, initial: GatedSlotState?) {
        self.q = q
        self.k = k
        self.v = v
        self.logGates = logGates
        self.initial = initial
    }
}
