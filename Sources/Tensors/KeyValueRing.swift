/// The first keys and values and the last of the others of each of R sequences that recorded work reads, (R, N, W, K) each, bfloat16: those of
/// position p are in place p among the sinks, and else in place sinks + (p - sinks) mod (W - sinks).
public struct KeyValueRing: Sendable {
    private var keys: Tensor
    private var values: Tensor
    /// Positions from the first on that are never given up.
    public let sinks: Int

    /// - Parameter capacity: tokens that it holds at most, W; one more than the sinks at least.
    public init(rows: Int, heads: Int, dim: Int, capacity: Int, sinks: Int = 0, on device: Device) throws {
        let capacity = max(capacity, sinks + 1)
        keys = try .zeros([rows, heads, capacity, dim], .bfloat16, on: device)
        values = try .zeros([rows, heads, capacity, dim], .bfloat16, on: device)
        self.sinks = sinks
    }

    /// Tokens that it holds at most, W, its sinks among them.
    public var capacity: Int { keys.shape[2] }
    /// Bytes of keys and values.
    public var byteCount: Int { keys.byteCount + values.byteCount }

    /// Attention of T new tokens, q (R, T, H, K), k and v (R, T, N, K), the first at `position`, over what the ring holds and
    /// themselves as far as the span shows it to them; the ring then holds the new tokens too. (R, T, H, K).
    /// - Parameters:
    ///   - span: with as many sinks as the ring has.
    ///   - sinkQueries: (R, T, H, K), for q where a query sees a sink that its window does not reach; nil for q itself.
    public mutating func attend(
        q: Tensor, k: Tensor, v: Tensor, scale: Float, cap: Float? = nil, span: AttentionSpan,
        sinkQueries: Tensor? = nil, position: Int
    ) throws -> Tensor {
        let backend = try keys.recordingBackend("attend", with: q, k, v, sinkQueries)
        let held = min(position, sinks)
        let past = held + min(position - held, span.window.map { $0 - 1 } ?? capacity, capacity - sinks)
        let (allKeys, allValues) =
            past == 0
            ? (k, v)
            : (
                try backend.read(keys, sinks: sinks, past: past, then: k, position: position),
                try backend.read(values, sinks: sinks, past: past, then: v, position: position)
            )
        // What lies between the sinks and the window is left out: places among the keys serve as positions.
        let result = try q.attention(
            k: allKeys, v: allValues, scale: scale, cap: cap, span: span, sinkQueries: sinkQueries)
        try write(k, v, position: position)
        return result
    }

    /// The same for one new token of each sequence, T = 1, over all positions that the ring holds: `position`, int32, is read
    /// on the GPU, so that recorded work serves for all.
    /// - Parameter sinkQueries: (R, 1, H, K), for q with all sinks, also those that are among the last positions.
    public mutating func attend(
        q: Tensor, k: Tensor, v: Tensor, scale: Float, cap: Float? = nil, sinkQueries: Tensor? = nil, position: Tensor
    ) throws -> Tensor {
        try makeUnique()
        return try keys.recordingBackend("attend", with: q, k, v, sinkQueries, position).attentionStep(
            q: q, k: k, v: v, keys: keys, values: values, sinks: sinks, sinkQueries: sinkQueries, position: position,
            scale: scale, cap: cap)
    }

    /// Makes room for `capacity` tokens; `count` have been read so far, and all are held.
    public mutating func grow(to capacity: Int, count: Int) throws {
        let (backend, old) = (try keys.recordingBackend("grow"), self)
        let (rows, heads, dim) = (keys.shape[0], keys.shape[1], keys.shape[3])
        self = try KeyValueRing(rows: rows, heads: heads, dim: dim, capacity: capacity, sinks: sinks, on: keys.device)
        guard count > 0 else { return }
        let none = try Tensor.empty([rows, 0, heads, dim], .bfloat16, on: keys.device)
        try write(
            backend.read(old.keys, sinks: sinks, past: count, then: none, position: count),
            backend.read(old.values, sinks: sinks, past: count, then: none, position: count), position: 0)
    }

    private mutating func write(_ k: Tensor, _ v: Tensor, position: Int) throws {
        try makeUnique()
        let backend = try keys.recordingBackend("attend", with: k, v)
        try backend.write(k, to: keys, sinks: sinks, position: position)
        try backend.write(v, to: values, sinks: sinks, position: position)
    }

    private mutating func makeUnique() throws {
        try keys.makeUnique()
        try values.makeUnique()
    }
}
