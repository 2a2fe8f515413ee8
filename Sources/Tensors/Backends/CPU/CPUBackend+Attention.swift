import CKernels

extension CPUBackend {
    /// Causal softmax attention over tiles of keys with a running maximum and sum (FlashAttention, arXiv 2205.14135):
    /// memory does not grow with T · S, and each tile of keys and values is read once for all query heads of its group.
    /// The cost is that of the pairs of query and key that are not masked, rounded up to tiles.
    /// - Throws: ``TensorError/outOfMemory(bytes:)``.
    public func attention(
        q: Tensor, k: Tensor, v: Tensor, scale: Float, window: Int?, documents: Documents?
    ) throws -> (result: Tensor, saved: Tensor?) {
        let keys = k.shape[1]
        let starts = (documents?.starts ?? []).map { Int64($0) }
        let result = try withExtendedLifetime((q, k, v)) {
            try Tensor.filled(Array(q.shape[..<3]) + [v.shape[3]]) { out in
                let missing = starts.withUnsafeBufferPointer { starts in
                    var job = moult_attention(
                        batch: Int64(q.shape[0]), queries: Int64(q.shape[1]), keys: Int64(keys),
                        heads: Int64(q.shape[2]), key_value_heads: Int64(k.shape[2]), key_dim: Int64(k.shape[3]),
                        value_dim: Int64(v.shape[3]), window: Int64(min(window ?? keys, keys)), scale: scale,
                        q: q.floats, k: k.floats, v: v.floats, out: out, documents: starts.baseAddress,
                        document_count: Int64(starts.count))
                    return moult_attention(&job)
                }
                guard missing == 0 else { throw TensorError.outOfMemory(bytes: Int(clamping: missing)) }
            }
        }
        return (result, nil)
    }

    /// The gradients over the same tiles, whose weights are computed again (FlashAttention-2, arXiv 2307.08691). Queries
    /// are shared out in ranges that depend on the shape alone, each with its own sums for keys and values, so that the
    /// results do not depend on the number of threads.
    /// - Throws: ``TensorError/outOfMemory(bytes:)``.
    public func attentionBackward(
        _ gradient: Tensor, q: Tensor, k: Tensor, v: Tensor, output: Tensor, saved: Tensor?, scale: Float,
        window: Int?, documents: Documents?
    ) throws -> (q: Tensor, k: Tensor, v: Tensor) {
        let keys = k.shape[1]
        let results = try [q, k, v].map { try Tensor.empty($0.shape) }
        // The results are fresh: nobody else sees them while the kernels write.
        let pointers = results.map { UnsafeMutablePointer(mutating: $0.floats) }
        let starts = (documents?.starts ?? []).map { Int64($0) }
        let missing = withExtendedLifetime((gradient, q, k, v, output, results)) {
            starts.withUnsafeBufferPointer { starts in
                var job = moult_attention_backward(
                    forward: moult_attention(
                        batch: Int64(q.shape[0]), queries: Int64(q.shape[1]), keys: Int64(keys),
                        heads: Int64(q.shape[2]), key_value_heads: Int64(k.shape[2]), key_dim: Int64(k.shape[3]),
                        value_dim: Int64(v.shape[3]), window: Int64(min(window ?? keys, keys)), scale: scale,
                        q: q.floats, k: k.floats, v: v.floats, out: UnsafeMutablePointer(mutating: output.floats),
                        documents: starts.baseAddress, document_count: Int64(starts.count)),
                    gradient: gradient.floats, q_gradient: pointers[0], k_gradient: pointers[1],
                    v_gradient: pointers[2])
                return moult_attention_backward(&job)
            }
        }
        guard missing == 0 else { throw TensorError.outOfMemory(bytes: Int(clamping: missing)) }
        return (results[0], results[1], results[2])
    }
}
