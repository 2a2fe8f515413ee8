/// Gated MLPs of which every token takes part in a few (Shazeer et al. 2017, arXiv 1701.06538).
public struct Experts: Sendable {
    /// One of them: down(act(gate(x)) · up(x)).
    public struct Expert: Sendable {
        /// (F, D).
        public var gate: Tensor
        /// (F, D).
        public var up: Tensor
        /// (D, F).
        public var down: Tensor

        /// Weights that are checked where they are used; also views of stacked ones.
        public init(gate: Tensor, up: Tensor, down: Tensor) { (self.gate, self.up, self.down) = (gate, up, down) }

        var weights: [Tensor] { [gate, up, down] }
    }

    /// The most experts: what kernels hold at once.
    public static let most = 1024
    /// The most experts that a token takes part in.
    public static let mostActive = 64

    /// All experts, E.
    public var all: [Expert]
    /// Experts of a token: those of the largest router logits.
    public var active: Int
    /// Whether the weights of a token's experts, their shares of the softmax of all logits, are divided by their sum.
    public var isNormalised: Bool
    /// That of the gates.
    public var activation: Activation

    /// Experts; what does not fit throws where it is used.
    public init(_ all: [Expert], active: Int, isNormalised: Bool, activation: Activation) {
        (self.all, self.active, self.isNormalised, self.activation) = (all, active, isNormalised, activation)
    }

    /// Refuses experts that are not of inputs of `width` elements.
    func require(_ operation: String, width: Int) throws {
        guard (1...Self.most).contains(all.count), (1...min(all.count, Self.mostActive)).contains(active) else {
            throw TensorError.range(
                operation: operation, argument: "active",
                expected: "1 to \(Self.mostActive) of at most \(Self.most) experts", found: "\(active) of \(all.count)")
        }
        let inner = all[0].gate.shape.first ?? 0
        for expert in all {
            for weight in expert.weights { try weight.requireWeight(operation, "expert") }
            try expert.gate.requireShape(operation, "gate", [inner, width])
            try expert.up.requireShape(operation, "up", [inner, width])
            try expert.down.requireShape(operation, "down", [width, inner])
        }
    }
}
