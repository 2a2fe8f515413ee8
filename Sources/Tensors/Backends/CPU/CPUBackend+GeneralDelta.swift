import CKernels

/// The generalised delta rule, token by token. The cost is proportional to T.
extension CPUBackend {
    /// - Throws: ``TensorError/outOfMemory(bytes:)``; the state is then undefined.
    func generalDelta(_ inputs: Recurrence, state: inout Tensor) throws -> Tensor {
        try .filled(inputs.outputShape) { out in
            let missing = try state.withMutable(Float.self) { state in
                try inputs.withGeneralJob(state: state.baseAddress, out: out) { job in
                    withUnsafePointer(to: job) { moult_general_delta($0) }
                }
            }
            guard missing == 0 else { throw TensorError.outOfMemory(bytes: Int(clamping: missing)) }
        }
    }

    /// The gradients. Each thread keeps the state before every 16th token of a head, and computes those between again. The
    /// results do not depend on the number of threads.
    /// - Throws: ``TensorError/outOfMemory(bytes:)``.
    func generalDeltaBackward(
        _ gradient: Tensor, _ inputs: Recurrence, _ rankOne: Recurrence.RankOne, initial: Tensor?,
        finalGradient: Tensor?
    ) throws -> RecurrenceGradients {
        let hasInitial = initial != nil
        let initial = try initial ?? .zeros(inputs.stateShape)
        let results = try (inputs.tensors + [initial]).map { try Tensor.empty($0.shape) }
        // The results are fresh: nobody else sees them while the kernels write.
        let pointers = results.map { UnsafeMutablePointer(mutating: $0.floats) }
        let missing = try withExtendedLifetime((gradient, initial, finalGradient, results)) {
            try inputs.withGeneralJob(state: UnsafeMutablePointer(mutating: initial.floats), out: nil) { forward in
                var job = moult_general_delta_backward(
                    forward: forward, gradient: gradient.floats, final_gradient: finalGradient?.floats,
                    q_gradient: pointers[0], k_gradient: pointers[1], v_gradient: pointers[2],
                    log_decays_gradient: pointers[3], a_gradient: pointers[4], b_gradient: pointers[5],
                    state_gradient: pointers[6])
                return moult_general_delta_backward(&job)
            }
        }
        guard missing == 0 else { throw TensorError.outOfMemory(bytes: Int(clamping: missing)) }
        return RecurrenceGradients(
            q: results[0], k: results[1], v: results[2], logDecays: results[3], betas: nil,
            rankOne: Recurrence.RankOne(reads: results[4], writes: results[5]), initial: hasInitial ? results[6] : nil)
    }
}

extension Recurrence {
    /// The kernels' form of the inputs, while `body` runs.
    fileprivate func withGeneralJob(
        state: UnsafeMutablePointer<Float>?, out: UnsafeMutablePointer<Float>?,
        _ body: (moult_general_delta) throws -> Int
    ) throws -> Int {
        let starts = (try documents?.starts() ?? []).map { Int64($0) }
        return try withExtendedLifetime(self) {
            try starts.withUnsafeBufferPointer { starts in
                try body(
                    moult_general_delta(
                        batch: Int64(q.shape[0]), tokens: Int64(q.shape[1]), heads: Int64(q.shape[2]),
                        key_value_heads: Int64(k.shape[2]), key_dim: Int64(k.shape[3]), value_dim: Int64(v.shape[3]),
                        scale: scale, q: q.floats, k: k.floats, v: v.floats, log_decays: logDecays.floats,
                        a: rankOne?.reads.floats, b: rankOne?.writes.floats, state: state, out: out,
                        documents: starts.baseAddress, document_count: Int64(starts.count)))
            }
        }
    }
}
