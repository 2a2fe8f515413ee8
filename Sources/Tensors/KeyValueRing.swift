/// The last W keys and values of each of R sequences on a GPU, (R, N, W, K) each, bfloat16: those of position p are in place
/// p mod W.
public struct KeyValueRing: Sendable {
    private var keys: Tensor
    private var values: Tensor

    public init(rows: Int, heads: Int, dim: Int, capacity: Int, sinks: Int = 0) throws {
        keys = try .zeros([rows, heads, capacity, dim], .bfloat16, on: .cuda)
        values = try .zeros([rows, heads, capacity, dim], .bfloat16, on: .cuda)
    }

    /// Tokens that it holds at most, W.
    public var capacity: Int { keys.shape[2] }
    public var byteCount: Int { keys.byteCount + values.byteCount }

    /// Attention of T new tokens, q (R, T, H, K), k and v (R, T, N, K), the first at `position`, over the `window` positions
    /// up to their own, all when nil; the ring then holds the new tokens too. (R, T, H, K).
    public mutating func attend(
        q: Tensor, k: Tensor, v: Tensor, scale: Float, span: AttentionSpan, sinkQueries: Tensor?, position: Int
    ) throws -> Tensor {
        let (backend, window) = (try CUDABackend.opened.get(), span.window)
        let past = min(position, window.map { $0 - 1 } ?? capacity, capacity)
        let (allKeys, allValues) =
            past == 0
            ? (k, v)
            : (
                try backend.read(keys, past: past, then: k, position: position),
                try backend.read(values, past: past, then: v, position: position)
            )
        let result = try q.attention(k: allKeys, v: allValues, scale: scale, span: AttentionSpan(window: window))
        try write(k, v, position: position)
        return result
    }

    /// The same for one new token of each sequence, T = 1, over all positions that the ring holds: `position`, int32, is read
    /// on the GPU, so that recorded work serves for all.
    public mutating func attend(q: Tensor, k: Tensor, v: Tensor, scale: Float, sinkQueries: Tensor?, position: Tensor) throws -> Tensor {
        try makeUnique()
        return try CUDABackend.opened.get().attentionStep(
            q: q, k: k, v: v, keys: keys, values: values, position: position, scale: scale)
    }

    /// Makes room for `capacity` tokens; `count` have been read so far, and all are held.
    public mutating func grow(to capacity: Int, count: Int) throws {
        let (backend, old) = (try CUDABackend.opened.get(), self)
        let (rows, heads, dim) = (keys.shape[0], keys.shape[1], keys.shape[3])
        self = try KeyValueRing(rows: rows, heads: heads, dim: dim, capacity: capacity)
        guard count > 0 else { return }
        let none = try Tensor.empty([rows, 0, heads, dim], .bfloat16, on: .cuda)
        try write(
            backend.read(old.keys, past: count, then: none, position: count),
            backend.read(old.values, past: count, then: none, position: count), position: 0)
    }

    private mutating func write(_ k: Tensor, _ v: Tensor, position: Int) throws {
        try makeUnique()
        let backend = try CUDABackend.opened.get()
        try backend.write(k, to: keys, position: position)
        try backend.write(v, to: values, position: position)
    }

    private mutating func makeUnique() throws {
        try keys.makeUnique()
        try values.makeUnique()
    }
}
