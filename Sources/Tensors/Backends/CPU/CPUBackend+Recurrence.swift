import CKernels

extension CPUBackend {
    /// Token by token when there are few, else by matrix products over blocks of tokens. The ways differ only in
    /// rounding. The cost is proportional to T; scratch memory does not grow with it.
    /// - Throws: ``TensorError/outOfMemory(bytes:)``; the state is then undefined.
    public func recurrence(_ inputs: Recurrence, state: inout Tensor?) throws -> (result: Tensor, saved: [Tensor]) {
        // Taken out, so that it has one owner and is written in place.
        let isWanted = state != nil
        var running = try state.take() ?? .zeros(inputs.stateShape)
        defer { if isWanted { state = running } }
        return (try recurrence(inputs, state: &running, form: moult_recurrence_automatic), [])
    }

    /// The operation in the given form.
    package func recurrence(
        _ inputs: Recurrence, state: inout Tensor, form: moult_recurrence_form
    ) throws -> Tensor {
        if inputs.rankOne != nil { return try generalDelta(inputs, state: &state) }
        return try .filled(inputs.outputShape) { out in
            let missing = try state.withMutable(Float.self) { state in
                try inputs.withJob(state: state.baseAddress, out: out) { job in
                    withUnsafePointer(to: job) { moult_recurrence($0, form) }
                }
            }
            guard missing == 0 else { throw TensorError.outOfMemory(bytes: Int(clamping: missing)) }
        }
    }

    /// The gradients, by matrix products over the same blocks. Each thread keeps the states before a head's blocks, up to
    /// 16 MB of them; of longer rows it computes them again, a stretch at a time, from the one before each. The results do
    /// not depend on the number of threads.
    /// - Throws: ``TensorError/outOfMemory(bytes:)``.
    public func recurrenceBackward(
        _ gradient: Tensor, _ inputs: Recurrence, initial: Tensor?, finalGradient: Tensor?, saved: [Tensor]
    ) throws -> RecurrenceGradients {
        if let rankOne = inputs.rankOne {
            return try generalDeltaBackward(gradient, inputs, rankOne, initial: initial, finalGradient: finalGradient)
        }
        let hasInitial = initial != nil
        let initial = try initial ?? .zeros(inputs.stateShape)
        let results = try (inputs.tensors + [initial]).map { try Tensor.empty($0.shape) }
        // The results are fresh: nobody else sees them while the kernels write.
        let pointers = results.map { UnsafeMutablePointer(mutating: $0.floats) }
        let missing = try withExtendedLifetime((gradient, initial, finalGradient, results)) {
            try inputs.withJob(state: UnsafeMutablePointer(mutating: initial.floats), out: nil) { forward in
                var job = moult_recurrence_backward(
                    forward: forward, gradient: gradient.floats, final_gradient: finalGradient?.floats,
                    q_gradient: pointers[0], k_gradient: pointers[1], v_gradient: pointers[2],
                    log_decays_gradient: pointers[3], betas_gradient: inputs.betas == nil ? nil : pointers[4],
                    state_gradient: pointers[pointers.count - 1])
                return moult_recurrence_backward(&job)
            }
        }
        guard missing == 0 else { throw TensorError.outOfMemory(bytes: Int(clamping: missing)) }
        return RecurrenceGradients(
            q: results[0], k: results[1], v: results[2], logDecays: results[3],
            betas: inputs.betas == nil ? nil : results[4], initial: hasInitial ? results.last : nil)
    }
}

extension Recurrence {
    /// The kernels' form of the inputs, while `body` runs.
    fileprivate func withJob(
        state: UnsafeMutablePointer<Float>?, out: UnsafeMutablePointer<Float>?,
        _ body: (moult_recurrence) throws -> Int
    ) throws -> Int {
        let starts = (try documents?.starts() ?? []).map { Int64($0) }
        return try withExtendedLifetime(self) {
            try starts.withUnsafeBufferPointer { starts in
                try body(
                    moult_recurrence(
                        batch: Int64(q.shape[0]), tokens: Int64(q.shape[1]), heads: Int64(q.shape[2]),
                        key_value_heads: Int64(k.shape[2]), key_dim: Int64(k.shape[3]), value_dim: Int64(v.shape[3]),
                        decay_dim: Int64(logDecays.shape[3]), scale: scale, q: q.floats, k: k.floats, v: v.floats,
                        log_decays: logDecays.floats, betas: betas?.floats, state: state, out: out,
                        documents: starts.baseAddress, document_count: Int64(starts.count)))
            }
        }
    }
}
