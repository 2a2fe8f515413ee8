import Checkpoints
import Tensors

/// Keys and values of the tokens seen so far.
protocol AttentionCache: MixerState {
    /// Causal softmax attention of new tokens over those that are held and themselves, which are then held too:
    /// (B, T, H, V).
    func attend(_ heads: AttentionHeads, context: MixerContext) throws -> Tensor

    /// The same, mixed.
    func attend(_ heads: AttentionHeads, context: MixerContext, mixture: HeadMixture?) throws -> Tensor
}

extension AttentionCache {
    func attend(_ heads: AttentionHeads, context: MixerContext, mixture: HeadMixture?) throws -> Tensor {
        let attended = try attend(heads, context: context)
        return try mixture.map { try $0(attended) } ?? attended
    }
}

/// What softmax attention joins: q (B, T, H, K), k (B, T, N, K) and v (B, T, N, V), and where they are others, queries of q's
/// shape for the sinks.
struct AttentionHeads {
    var q: Tensor
    var k: Tensor
    var v: Tensor
    var sinkQueries: Tensor?
    /// What products of queries and keys are multiplied by.
    var scale: Float = 1
    /// c of c · tanh(x/c), which bounds them; nil for none.
    var cap: Float?
}

/// Keys (S, N, K) and values (S, N, V) of the tokens of one sequence. Memory grows with what was read, by doubling; with a
/// window, until it is the sinks and a ring of the last `window` others: position p is in row p when it is a sink's, and
/// else in row sinks + (p - sinks) mod window.
public final class KeyValueCache: AttentionCache {
    let span: AttentionSpan
    /// The distance up to which queries see sinks as other keys.
    private let farthest: Int
    /// By which queries of a captured step are scaled; those of other forms are when they come here.
    private let scale: LogScale?
    private var keys: HeldRows
    private var values: HeldRows
    /// Tokens seen.
    private var count = 0
    /// Tokens that there is room for, at most ``most``. While it is less, all that were seen are held, in order.
    private var capacity: Int

    /// The most tokens that are held.
    private var most: Int { span.most ?? .max }
    /// Tokens that are held.
    private var held: Int { min(count, most) }

    init(
        _ type: CacheType, heads: Int, keyDim: Int, valueDim: Int, span: AttentionSpan, farthest: Int = .max,
        scale: LogScale? = nil
    ) throws {
        (self.span, self.farthest, self.scale) = (span, farthest, scale)
        capacity = min(span.most ?? .max, Self.least + (span.window == nil ? 0 : span.sinks))
        keys = try HeldRows(type, rows: capacity, heads: heads, dim: keyDim)
        values = try HeldRows(type, rows: capacity, heads: heads, dim: valueDim)
    }

    /// Tokens beside the sinks that a new cache has room for, unless it holds fewer.
    private static let least = 64

    private init(copying other: KeyValueCache) {
        (span, farthest, scale) = (other.span, other.farthest, other.scale)
        (keys, values, count, capacity) = (other.keys, other.values, other.count, other.capacity)
    }

    /// What the cache of `heads` key/value heads takes: per token, or for all that it ever holds.
    static func cost(
        _ decoder: DecoderConfiguration, heads: Int, span: AttentionSpan, on device: Device, _ type: CacheType
    ) -> StateCost {
        let dim = decoder.headDim
        let token = 2 * heads * device.traits.cacheType(type).byteCount(dim: dim)
        return span.most.map { StateCost(constant: token * $0, perToken: 0, windows: [$0: token]) }
            ?? StateCost(constant: 0, perToken: token)
    }

    public var byteCount: Int { keys.byteCount + values.byteCount }

    public func copy() -> MixerState { KeyValueCache(copying: self) }

    public func undo() -> () -> Void {
        // Without a window nothing is overwritten, and the rows are too many to be copied.
        guard span.window != nil else { return { [self, count] in self.count = count } }
        return { [self, keys, values, count, capacity] in
            (self.keys, self.values, self.count, self.capacity) = (keys, values, count, capacity)
        }
    }

    public func store(in snapshot: inout StateSnapshot, prefix: String) throws {
        try snapshot.append("\(prefix)keys", keys.rows(0..<held))
        try snapshot.append("\(prefix)values", values.rows(0..<held))
    }

    public func restore(_ snapshot: StateSnapshot, prefix: String) throws {
        let held = min(most, snapshot.position)
        let heldKeys = try snapshot.tensor("\(prefix)keys", shape: [held] + keys.shape.dropFirst())
        let heldValues = try snapshot.tensor("\(prefix)values", shape: [held] + values.shape.dropFirst())
        if held > capacity {
            capacity = held
            keys = try keys.grown(to: held, keeping: 0)
            values = try values.grown(to: held, keeping: 0)
        }
        try keys.replace(at: 0, with: heldKeys)
        try values.replace(at: 0, with: heldValues)
        count = snapshot.position
    }

    func attend(_ heads: AttentionHeads, context: MixerContext) throws -> Tensor {
        let (k, v) = try extend(keys: heads.k, values: heads.v)
        return try heads.q.attention(
            k: k, v: v, scale: heads.scale, cap: heads.cap, span: span, sinkQueries: heads.sinkQueries,
            documents: context.documents)
    }

    /// The row of the token at `position`.
    private func row(_ position: Int) -> Int {
        guard let window = span.window, position >= span.sinks else { return position }
        return span.sinks + (position - span.sinks) % window
    }

    /// Adds the keys and values (1, T, N, ·) of T new tokens and returns those that the new tokens may attend to,
    /// (1, S, N, ·), sinks first, the others oldest first except in a full ring when T = 1, where one query sees all of it
    /// in any order.
    private func extend(keys newKeys: Tensor, values newValues: Tensor) throws -> (keys: Tensor, values: Tensor) {
        let tokens = newKeys.shape[1]
        try reserve(tokens)
        guard let window = span.window else { return try append(newKeys, newValues, tokens) }
        if tokens == 1 {
            try keys.replace(at: row(count), with: newKeys.squeezed())
            try values.replace(at: row(count), with: newValues.squeezed())
            count += 1
            return (try keys.rows(0..<held).batched(), try values.rows(0..<held).batched())
        }
        // A segment: the sinks, the ring unrolled, then the new tokens; the ring keeps the last ones of them.
        let sinks = min(count, span.sinks)
        let past = Array(0..<sinks) + Array(max(sinks, count - window + 1)..<count)
        var allKeys = try Tensor.empty([past.count + tokens] + keys.shape.dropFirst())
        var allValues = try Tensor.empty([past.count + tokens] + values.shape.dropFirst())
        let (heldKeys, heldValues) = (try keys.rows(0..<held), try values.rows(0..<held))
        for (index, position) in past.enumerated() {
            let row = row(position)
            try allKeys.replaceRows(at: index, with: heldKeys.rows(row..<row + 1))
            try allValues.replaceRows(at: index, with: heldValues.rows(row..<row + 1))
        }
        try allKeys.replaceRows(at: past.count, with: newKeys.squeezed())
        try allValues.replaceRows(at: past.count, with: newValues.squeezed())
        for index in 0..<tokens where count + index < span.sinks || index >= tokens - window {
            let (row, from) = (row(count + index), past.count + index)
            try keys.replace(at: row, with: allKeys.rows(from..<from + 1))
            try values.replace(at: row, with: allValues.rows(from..<from + 1))
        }
        count += tokens
        return (try allKeys.batched(), try allValues.batched())
    }

    public func captured(in step: CapturedStep) throws -> any MixerState {
        CapturedKeyValueCache(cache: try step.cache(keys: keys, values: values, most: span.most))
    }

    /// Makes room for one more token, whose key and value the step writes.
    public func bind(to place: any MixerState, row: Int) throws {
        let place = try place.required(as: CapturedKeyValueCache.self)
        try reserve(1)
        let (next, isFar) = (self.row(count), count > farthest && span.window != nil)
        let scale = scale.map { Float($0.factor(count)) } ?? 1
        count += 1
        try place.cache.bind(
            keys: &keys, values: &values, place: next, held: held, sinks: isFar ? span.sinks : 0, scale: scale,
            row: row)
    }

    /// Room for `tokens` more, of which a window keeps the last. Only a cache that holds all it has seen grows.
    private func reserve(_ tokens: Int) throws {
        let wanted = min(count + tokens, most)
        guard wanted > capacity else { return }
        capacity = min(max(2 * capacity, wanted), most)
        keys = try keys.grown(to: capacity, keeping: count)
        values = try values.grown(to: capacity, keeping: count)
    }

    private func append(_ newKeys: Tensor, _ newValues: Tensor, _ tokens: Int) throws -> (keys: Tensor, values: Tensor)
    {
        try keys.replace(at: count, with: newKeys.squeezed())
        try values.replace(at: count, with: newValues.squeezed())
        count += tokens
        return (try keys.rows(0..<count).batched(), try values.rows(0..<count).batched())
    }
}

extension Tensor {
    /// (1, S, ...) → (S, ...).
    fileprivate func squeezed() throws -> Tensor { try reshaped(Array(shape.dropFirst())) }
    /// (S, ...) → (1, S, ...).
    fileprivate func batched() throws -> Tensor { try reshaped([1] + shape) }

    /// Overwrites rows from `start` with those of `source`, in place when this tensor is the only one to hold them.
    fileprivate mutating func replaceRows(at start: Int, with source: Tensor) throws {
        let stride = shape.dropFirst().reduce(1, *)
        try withMutable(Float.self) { target in
            try source.withElements(Float.self) { elements in
                let destination = UnsafeMutableBufferPointer(
                    rebasing: target[start * stride..<start * stride + elements.count])
                _ = destination.update(from: elements)
            }
        }
    }
}
