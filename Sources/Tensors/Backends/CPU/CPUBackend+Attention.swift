import CKernels

extension CPUBackend {
    /// Causal softmax attention over tiles of keys with a running maximum and sum (FlashAttention, arXiv 2205.14135):
    /// memory does not grow with T · S, and each tile of keys and values is read once for all query heads of its group.
    /// The cost is that of the pairs of query and key that are not masked, rounded up to tiles.
    /// - Throws: ``TensorError/outOfMemory(bytes:)``.
    public func attention(
        q: Tensor, k: Tensor, v: Tensor, scale: Float, window: Int?, documents: [Int]?
    ) throws -> Tensor {
        let keys = k.shape[1]
        let starts = (documents ?? []).map(Int64.init)
        return try withExtendedLifetime((q, k, v)) {
            try .filled(Array(q.shape[..<3]) + [v.shape[3]]) { out in
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
    }
}
