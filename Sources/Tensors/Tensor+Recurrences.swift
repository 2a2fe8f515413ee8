/// Recurrences over states that are matrices, checked and run as the operations of Tensor+Mixers.swift are.
extension Tensor {
    /// The gated linear recurrence of Gated Linear Attention (Yang et al. 2024, arXiv 2312.06635), of which RetNet, HGRN2
    /// and Mamba-2 (SSD) are cases, over q (B, T, H, K), k (B, T, N, K) and v (B, T, N, V) → (B, T, H, V):
    ///
    ///     S_t = Diag(exp(g_t)) S_{t-1} + k_t v_tᵀ      o_t = scale · S_tᵀ q_t
    ///
    /// - Parameters:
    ///   - logDecays: g ≤ 0, one per channel (B, T, N, K) or one per head (B, T, N, 1), float32.
    ///   - state: the initial state (B, N, K, V), float32; becomes the final one, in place where nothing is watched.
    ///   - documents: packed documents (B = 1 on the processor); the state is zeroed at every start but the first.
    /// - Throws: ``TensorError`` for arguments that do not fit.
    public static func gatedLinear(
        q: Tensor, k: Tensor, v: Tensor, logDecays: Tensor, scale: Float, state: inout Tensor,
        documents: Documents? = nil
    ) throws -> Tensor {
        try Recurrence(q: q, k: k, v: v, logDecays: logDecays, scale: scale, documents: documents).run(&state)
    }

    /// The same for whole sequences: from the empty state, and without the final one.
    public static func gatedLinear(
        q: Tensor, k: Tensor, v: Tensor, logDecays: Tensor, scale: Float, documents: Documents? = nil
    ) throws -> Tensor {
        try Recurrence(q: q, k: k, v: v, logDecays: logDecays, scale: scale, documents: documents).run()
    }

    /// The gated delta rule of Gated DeltaNet (Yang et al. 2024, arXiv 2412.06464) and, with a decay per channel, of Kimi Delta
    /// Attention (arXiv 2510.26692), over q (B, T, H, K), k (B, T, N, K) and v (B, T, N, V) → (B, T, H, V); DeltaNet
    /// where all log decays are 0:
    ///
    ///     S_t = (I - β_t k_t k_tᵀ) Diag(exp(g_t)) S_{t-1} + β_t k_t v_tᵀ      o_t = scale · S_tᵀ q_t
    ///
    /// Keys are taken as they are: of a length beyond √(2 / β) they make the state grow.
    ///
    /// - Parameters:
    ///   - logDecays: g ≤ 0, one per channel (B, T, N, K) or one per head (B, T, N, 1), float32.
    ///   - betas: β (B, T, N), float32: the share of what k_t recalls that v_t replaces.
    ///   - state: the initial state (B, N, K, V), float32; becomes the final one, in place where nothing is watched.
    ///   - documents: packed documents (B = 1 on the processor); the state is zeroed at every start but the first.
    /// - Throws: ``TensorError`` for arguments that do not fit.
    public static func gatedDelta(
        q: Tensor, k: Tensor, v: Tensor, logDecays: Tensor, betas: Tensor, scale: Float, state: inout Tensor,
        documents: Documents? = nil
    ) throws -> Tensor {
        try Recurrence(q: q, k: k, v: v, logDecays: logDecays, betas: betas, scale: scale, documents: documents)
            .run(&state)
    }

    /// The same for whole sequences: from the empty state, and without the final one.
    public static func gatedDelta(
        q: Tensor, k: Tensor, v: Tensor, logDecays: Tensor, betas: Tensor, scale: Float, documents: Documents? = nil
    ) throws -> Tensor {
        try Recurrence(q: q, k: k, v: v, logDecays: logDecays, betas: betas, scale: scale, documents: documents).run()
    }

    /// The generalised delta rule of RWKV-7 (Peng et al. 2025, arXiv 2503.14456) over q (B, T, H, K), k (B, T, N, K) and
    /// v (B, T, N, V) → (B, T, H, V): what `rankOne` reads of a state it writes somewhere else.
    ///
    ///     S_t = (Diag(exp(g_t)) + b_t a_tᵀ) S_{t-1} + k_t v_tᵀ      o_t = scale · S_tᵀ q_t
    ///
    /// - Parameters:
    ///   - logDecays: g ≤ 0, (B, T, N, K), float32.
    ///   - rankOne: a and b, (B, T, N, K) each.
    ///   - state: the initial state (B, N, K, V), float32; becomes the final one, in place where nothing is watched.
    ///   - documents: packed documents (B = 1 on the processor); the state is zeroed at every start but the first.
    /// - Throws: ``TensorError`` for arguments that do not fit.
    public static func generalDelta(
        q: Tensor, k: Tensor, v: Tensor, logDecays: Tensor, rankOne: Recurrence.RankOne, scale: Float,
        state: inout Tensor, documents: Documents? = nil
    ) throws -> Tensor {
        try Recurrence(q: q, k: k, v: v, logDecays: logDecays, rankOne: rankOne, scale: scale, documents: documents)
            .run(&state)
    }

    /// The same for whole sequences: from the empty state, and without the final one.
    public static func generalDelta(
        q: Tensor, k: Tensor, v: Tensor, logDecays: Tensor, rankOne: Recurrence.RankOne, scale: Float,
        documents: Documents? = nil
    ) throws -> Tensor {
        try Recurrence(q: q, k: k, v: v, logDecays: logDecays, rankOne: rankOne, scale: scale, documents: documents)
            .run()
    }

    /// Gradients of the inputs of a recurrence that began from the state `initial`, from the gradient self (B, T, H, V) of
    /// its outputs and, where it is used, that of its final state, both states (B, N, K, V), float32.
    /// - Throws: ``TensorError`` for arguments that do not fit.
    public func recurrenceBackward(
        _ inputs: Recurrence, initial: Tensor, finalGradient: Tensor? = nil
    ) throws -> RecurrenceGradients {
        let operation = inputs.operation + "Backward"
        try inputs.require(operation)
        try requireActivation(operation, "gradient", inputs.outputShape)
        try initial.require(operation, "initial", inputs.stateShape)
        try finalGradient?.require(operation, "finalGradient", inputs.stateShape)
        try requireDevice(operation, inputs.tensors + [initial, finalGradient, inputs.documents?.rows])
        return try storage.runtime.gradientBackend.recurrenceBackward(
            self, inputs, initial: initial, finalGradient: finalGradient, saved: [])
    }
}

extension Recurrence {
    /// The outputs from the state and the state after them.
    fileprivate func run(_ state: inout Tensor) throws -> Tensor {
        try require(operation)
        try state.require(operation, "state", stateShape)
        try q.requireDevice(operation, tensors + [state, documents?.rows])
        let backend = q.storage.runtime.backend
        let gradientBackend = q.storage.runtime.gradientBackend
        // Kept only for the way back: a second owner of the state would keep a step from updating it in place.
        let kept = (tensors + [state]).contains { $0.isRecorded } ? state : nil
        var running: Tensor? = state
        state = try .empty([0])
        defer { if let running { state = running } }
        let (output, saved) = try backend.recurrence(self, state: &running)
        guard let initial = kept, let final = running else { return output }
        let arguments = tensors + [initial]
        let results = Tensor.record([output, final.detached], of: arguments) { gradients in
            let found = try gradientBackend.recurrenceBackward(
                try gradients[0] ?? .zeros(output.shape, output.dtype, on: q.device), self, initial: initial,
                finalGradient: gradients[1], saved: saved)
            for (argument, gradient) in zip(arguments, found.tensors + (found.initial.map { [$0] } ?? [])) {
                try argument.variable?.add(gradient)
            }
        }
        running = results[1]
        return results[0]
    }

    /// The outputs from the empty state.
    fileprivate func run() throws -> Tensor {
        try require(operation)
        try q.requireDevice(operation, tensors + [documents?.rows])
        let backend = q.storage.runtime.backend
        let gradientBackend = q.storage.runtime.gradientBackend
        var state: Tensor?
        let (output, saved) = try backend.recurrence(self, state: &state)
        return Tensor.record([output], of: tensors) { gradients in
            guard let gradient = gradients[0] else { return }
            let found = try gradientBackend.recurrenceBackward(
                gradient, self, initial: nil, finalGradient: nil, saved: saved)
            for (argument, gradient) in zip(tensors, found.tensors) { try argument.variable?.add(gradient) }
        }[0]
    }
}
