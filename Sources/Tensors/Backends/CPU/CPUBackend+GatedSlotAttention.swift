import CKernels

extension CPUBackend {
    /// Gated Slot Attention (arXiv 2409.07146): token by token when there are few, else by matrix products over blocks of
    /// tokens, across chunks at once where that keeps all threads busy. The ways differ only in rounding. The cost is
    /// proportional to T; scratch memory does not grow with it.
    /// - Throws: ``TensorError/outOfMemory(bytes:)``; the state is then undefined.
    public func gatedSlotAttention(
        q: Tensor, k: Tensor, v: Tensor, logGates: Tensor, scale: Float, state: inout GatedSlotState?,
        documents: Documents?
    ) throws -> (result: Tensor, saved: [Tensor]) {
        // Taken out, so that it has one owner and is written in place.
        let isWanted = state != nil
        var running = try state.take() ?? .empty(k: k, v: v, logGates: logGates)
        defer { if isWanted { state = running } }
        let result = try gatedSlotAttention(
            q: q, k: k, v: v, logGates: logGates, scale: scale, slotKeys: &running.keys, slotValues: &running.values,
            documents: documents, form: moult_gated_slot_automatic)
        return (result, [])
    }

    /// The operation in the given form.
    package func gatedSlotAttention(
        q: Tensor, k: Tensor, v: Tensor, logGates: Tensor, scale: Float, slotKeys: inout Tensor,
        slotValues: inout Tensor, documents: Documents?, form: moult_gated_slot_form
    ) throws -> Tensor {
        let starts = (try documents?.starts() ?? []).map { Int64($0) }
        return try withExtendedLifetime((q, k, v, logGates)) {
            try .filled(Array(q.shape[..<3]) + [v.shape[3]]) { out in
                let missing = try slotKeys.withMutable(Float.self) { slotKeys in
                    try slotValues.withMutable(Float.self) { slotValues in
                        starts.withUnsafeBufferPointer { starts in
                            var job = moult_gated_slot_attention(
                                batch: Int64(q.shape[0]), tokens: Int64(q.shape[1]), heads: Int64(q.shape[2]),
                                key_value_heads: Int64(k.shape[2]), key_dim: Int64(k.shape[3]),
                                value_dim: Int64(v.shape[3]), slots: Int64(logGates.shape[3]), scale: scale,
                                q: q.floats, k: k.floats, v: v.floats, log_gates: logGates.floats,
                                slot_keys: slotKeys.baseAddress, slot_values: slotValues.baseAddress, out: out,
                                documents: starts.baseAddress, document_count: Int64(starts.count))
                            return moult_gated_slot_attention(&job, form)
                        }
                    }
                }
                guard missing == 0 else { throw TensorError.outOfMemory(bytes: Int(clamping: missing)) }
            }
        }
    }

    /// The gradients by matrix products over the same blocks and chunks. The states at the chunks' boundaries are computed
    /// again and kept, everything else from them; the cost and the scratch memory are proportional to T. The results do
    /// not depend on the number of threads.
    /// - Throws: ``TensorError/outOfMemory(bytes:)``.
    public func gatedSlotAttentionBackward(
        _ gradient: Tensor, q: Tensor, k: Tensor, v: Tensor, logGates: Tensor, scale: Float, initial: GatedSlotState?,
        finalGradient: GatedSlotState?, documents: Documents?, saved: [Tensor]
    ) throws -> GatedSlotGradients {
        let hasInitial = initial != nil
        let initial = try initial ?? .empty(k: k, v: v, logGates: logGates)
        let results = try [q, k, v, logGates, initial.keys, initial.values].map { try Tensor.empty($0.shape) }
        // The results are fresh: nobody else sees them while the kernels write.
        let pointers = results.map { UnsafeMutablePointer(mutating: $0.floats) }
        let starts = (try documents?.starts() ?? []).map { Int64($0) }
        let inputs = (gradient, q, k, v, logGates, initial, finalGradient)
        let missing = withExtendedLifetime((inputs, results)) {
            starts.withUnsafeBufferPointer { starts in
                var job = moult_gated_slot_attention_backward(
                    forward: moult_gated_slot_attention(
                        batch: Int64(q.shape[0]), tokens: Int64(q.shape[1]), heads: Int64(q.shape[2]),
                        key_value_heads: Int64(k.shape[2]), key_dim: Int64(k.shape[3]), value_dim: Int64(v.shape[3]),
                        slots: Int64(logGates.shape[3]), scale: scale, q: q.floats, k: k.floats, v: v.floats,
                        log_gates: logGates.floats, slot_keys: UnsafeMutablePointer(mutating: initial.keys.floats),
                        slot_values: UnsafeMutablePointer(mutating: initial.values.floats), out: nil,
                        documents: starts.baseAddress, document_count: Int64(starts.count)),
                    gradient: gradient.floats, final_keys_gradient: finalGradient?.keys.floats,
                    final_values_gradient: finalGradient?.values.floats, q_gradient: pointers[0],
                    k_gradient: pointers[1], v_gradient: pointers[2], log_gates_gradient: pointers[3],
                    keys_gradient: pointers[4], values_gradient: pointers[5])
                return moult_gated_slot_attention_backward(&job)
            }
        }
        guard missing == 0 else { throw TensorError.outOfMemory(bytes: Int(clamping: missing)) }
        return GatedSlotGradients(
            q: results[0], k: results[1], v: results[2], logGates: results[3],
            initial: hasInitial ? GatedSlotState(keys: results[4], values: results[5]) : nil)
    }
}
