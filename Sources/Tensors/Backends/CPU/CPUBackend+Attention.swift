import CKernels

extension CPUBackend {
    /// Causal softmax attention over tiles of keys with a running maximum and sum (FlashAttention, arXiv 2205.14135):
    /// memory does not grow with T · S, and each tile of keys and values is read once for all query heads of its group.
    /// The cost is that of the pairs of query and key that are not masked, rounded up to tiles.
    /// - Throws: ``TensorError/outOfMemory(bytes:)``.
    public func attention(
        q: Tensor, k: Tensor, v: Tensor, scale: Float, cap: Float?, span: AttentionSpan, sinkQueries: Tensor?,
        documents: Documents?
    ) throws -> (result: Tensor, saved: Tensor?) {
        let starts = (try documents?.starts() ?? []).map { Int64($0) }
        let result = try withExtendedLifetime((q, k, v, sinkQueries)) {
            try Tensor.filled(Array(q.shape[..<3]) + [v.shape[3]]) { out in
                let missing = starts.withUnsafeBufferPointer { starts in
                    var job = Self.job(q: q, k: k, v: v, scale: scale, cap: cap, span: span, documents: starts)
                    (job.sink_q, job.out) = (sinkQueries?.floats, out)
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
        cap: Float?, span: AttentionSpan, documents: Documents?
    ) throws -> (q: Tensor, k: Tensor, v: Tensor) {
        let results = try [q, k, v].map { try Tensor.empty($0.shape) }
        // The results are fresh: nobody else sees them while the kernels write.
        let pointers = results.map { UnsafeMutablePointer(mutating: $0.floats) }
        let starts = (try documents?.starts() ?? []).map { Int64($0) }
        let missing = withExtendedLifetime((gradient, q, k, v, output, results)) {
            starts.withUnsafeBufferPointer { starts in
                var forward = Self.job(q: q, k: k, v: v, scale: scale, cap: cap, span: span, documents: starts)
                forward.out = UnsafeMutablePointer(mutating: output.floats)
                var job = moult_attention_backward(
                    forward: forward, gradient: gradient.floats, q_gradient: pointers[0], k_gradient: pointers[1],
                    v_gradient: pointers[2])
                return moult_attention_backward(&job)
            }
        }
        guard missing == 0 else { throw TensorError.outOfMemory(bytes: Int(clamping: missing)) }
        return (results[0], results[1], results[2])
    }

    /// What the kernels are told of the arguments, which must outlive it.
    private static func job(
        q: Tensor, k: Tensor, v: Tensor, scale: Float, cap: Float?, span: AttentionSpan,
        documents: UnsafeBufferPointer<Int64>
    ) -> moult_attention {
        let keys = k.shape[1]
        var job = moult_attention()
        (job.batch, job.queries, job.keys) = (Int64(q.shape[0]), Int64(q.shape[1]), Int64(keys))
        (job.heads, job.key_value_heads) = (Int64(q.shape[2]), Int64(k.shape[2]))
        (job.key_dim, job.value_dim) = (Int64(k.shape[3]), Int64(v.shape[3]))
        (job.window, job.sinks, job.scale) = (Int64(min(span.window ?? keys, keys)), Int64(span.sinks), scale)
        job.cap = cap ?? 0
        (job.q, job.k, job.v) = (q.floats, k.floats, v.floats)
        (job.documents, job.document_count) = (documents.baseAddress, Int64(documents.count))
        return job
    }
}
