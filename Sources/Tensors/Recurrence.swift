/// The inputs of a recurrence over a state (B, N, K, V) that is a matrix for each key/value head:
///
///     gated linear    S_t = Diag(exp(g_t)) S_{t-1} + k_t v_tᵀ
///     gated delta     S_t = (I - β_t k_t k_tᵀ) Diag(exp(g_t)) S_{t-1} + β_t k_t v_tᵀ
///     general delta   S_t = (Diag(exp(g_t)) + b_t a_tᵀ) S_{t-1} + k_t v_tᵀ
///     all             o_t = scale · S_tᵀ q_t
///
/// H query heads share the states of N key/value heads.
public struct Recurrence: Sendable {
    /// Queries (B, T, H, K).
    public var q: Tensor
    /// Keys (B, T, N, K).
    public var k: Tensor
    /// Values (B, T, N, V).
    public var v: Tensor
    /// Logarithms g of the decays, at most 0: one per channel (B, T, N, K) or one per head (B, T, N, 1), float32.
    public var logDecays: Tensor
    /// Shares β of the old value that the new one replaces (B, T, N), float32; nil for the gated linear recurrence.
    public var betas: Tensor?
    /// What makes the transition of a generalised delta rule diagonal plus rank one, b aᵀ; nil for the others.
    public var rankOne: RankOne?
    /// What outputs are multiplied by.
    public var scale: Float
    /// Packed documents; the state is zeroed at every start but the first. nil where each row is one document.
    public var documents: Documents?

    /// The part b aᵀ of rank one of a transition.
    public struct RankOne: Sendable {
        /// What is read of the state, a (B, T, N, K).
        public var reads: Tensor
        /// Where that is written, b (B, T, N, K).
        public var writes: Tensor

        /// The part of these factors.
        public init(reads: Tensor, writes: Tensor) { (self.reads, self.writes) = (reads, writes) }
    }

    /// The inputs of a call; shapes are checked where they are used.
    public init(
        q: Tensor, k: Tensor, v: Tensor, logDecays: Tensor, betas: Tensor? = nil, rankOne: RankOne? = nil,
        scale: Float, documents: Documents? = nil
    ) {
        (self.q, self.k, self.v, self.logDecays, self.betas, self.rankOne) = (q, k, v, logDecays, betas, rankOne)
        (self.scale, self.documents) = (scale, documents)
    }

    /// The name of the operation in errors.
    var operation: String { rankOne != nil ? "generalDelta" : betas == nil ? "gatedLinear" : "gatedDelta" }

    /// What may be watched, but the state.
    var tensors: [Tensor] {
        [q, k, v, logDecays] + (betas.map { [$0] } ?? []) + (rankOne.map { [$0.reads, $0.writes] } ?? [])
    }

    var stateShape: [Int] { [k.shape[0], k.shape[2], k.shape[3], v.shape[3]] }

    var outputShape: [Int] { Array(q.shape[..<3]) + [v.shape[3]] }

    /// - Throws: ``TensorError`` naming the argument that does not fit.
    func require(_ operation: String) throws {
        try q.requireHeads(operation, k: k, v: v)
        try k.requireShape(operation, "k", [nil, q.shape[1], nil, nil])
        let rows = Array(k.shape[..<3])
        guard logDecays.shape == rows + [1] || logDecays.shape == k.shape else {
            throw TensorError.shape(
                operation: operation, argument: "logDecays", expected: "\(k.shape) or \(rows + [1])",
                found: logDecays.shape)
        }
        try logDecays.requireFloat32(operation, "logDecays")
        try betas?.require(operation, "betas", rows)
        if let rankOne {
            try logDecays.require(operation, "logDecays", k.shape)
            try rankOne.reads.requireActivation(operation, "reads", k.shape)
            try rankOne.writes.requireActivation(operation, "writes", k.shape)
        }
        for (argument, width) in [("k", k.shape[3]), ("v", v.shape[3])] where width < 1 {
            throw TensorError.range(
                operation: operation, argument: "width of \(argument)", expected: "at least 1", found: "\(width)")
        }
        try Tensor.requireDocuments(documents, batch: q.shape[0], length: q.shape[1], operation)
    }
}

/// The gradients of the inputs of a ``Recurrence``, each in the shape of its input.
public struct RecurrenceGradients: Sendable {
    /// (B, T, H, K)
    public var q: Tensor
    /// (B, T, N, K)
    public var k: Tensor
    /// (B, T, N, V)
    public var v: Tensor
    /// (B, T, N, K) or (B, T, N, 1)
    public var logDecays: Tensor
    /// (B, T, N); nil where there were none.
    public var betas: Tensor?
    /// (B, T, N, K) each; nil where there was no part of rank one.
    public var rankOne: Recurrence.RankOne?
    /// (B, N, K, V); nil where there was no initial state.
    public var initial: Tensor?

    /// Gradients of the shapes of what they belong to.
    public init(
        q: Tensor, k: Tensor, v: Tensor, logDecays: Tensor, betas: Tensor?, rankOne: Recurrence.RankOne? = nil,
        initial: Tensor?
    ) {
        (self.q, self.k, self.v, self.logDecays, self.betas, self.rankOne) = (q, k, v, logDecays, betas, rankOne)
        self.initial = initial
    }

    /// Those of ``Recurrence/tensors``.
    var tensors: [Tensor] {
        [q, k, v, logDecays] + (betas.map { [$0] } ?? []) + (rankOne.map { [$0.reads, $0.writes] } ?? [])
    }
}
