import Checkpoints
import Tensors

/// Keys and values of the tokens seen so far.
protocol AttentionCache: MixerState {
    /// Causal softmax attention of new tokens, q (B, T, H, K), k (B, T, N, K) and v (B, T, N, V), over those that are held
    /// and themselves, which are then held too: (B, T, H, V).
    func attend(q: Tensor, k: Tensor, v: Tensor, scale: Float, context: MixerContext) throws -> Tensor
}

/// Keys (S, N, K) and values (S, N, V) of the tokens of one sequence. Memory grows with what was read, by doubling; with a
/// window, until it is a ring of the last `window` tokens.
public final class KeyValueCache: AttentionCache {
    let window: Int?
    private var keys: Tensor
    private var values: Tensor
    /// Tokens seen.
    private var count = 0
    /// Tokens that there is room for, at most `window`. While it is less, all that were seen are held, in order.
    private var capacity: Int

    /// Tokens that are held.
    private var held: Int { window.map { min(count, $0) } ?? count }

    init(heads: Int, keyDim: Int, valueDim: Int, window: Int?) throws {
        self.window = window
        capacity = min(window ?? Self.least, Self.least)
        keys = try .zeros([capacity, heads, keyDim])
        values = try .zeros([capacity, heads, valueDim])
    }

    /// Tokens that a new cache has room for, unless its window is shorter.
    private static let least = 64

    private init(copying other: KeyValueCache) {
        window = other.window
        (keys, values, count, capacity) = (other.keys, other.values, other.count, other.capacity)
    }

    /// What a cache takes: per token, or for the whole ring.
    static func cost(_ decoder: DecoderConfiguration, window: Int?) -> StateCost {
        let token = 2 * decoder.keyValueHeadCount * decoder.headDim * DType.float32.size
        return window.map { StateCost(constant: token * $0, perToken: 0) } ?? StateCost(constant: 0, perToken: token)
    }

    public var byteCount: Int { keys.byteCount + values.byteCount }

    public func copy() -> MixerState { KeyValueCache(copying: self) }

    public func undo() -> () -> Void {
        // Without a window nothing is overwritten, and the rows are too many to be copied.
        guard window != nil else { return { [self, count] in self.count = count } }
        return { [self, keys, values, count, capacity] in
            (self.keys, self.values, self.count, self.capacity) = (keys, values, count, capacity)
        }
    }

    public func store(in snapshot: inout StateSnapshot, prefix: String) throws {
        try snapshot.append("\(prefix)keys", keys.rows(0..<held))
        try snapshot.append("\(prefix)values", values.rows(0..<held))
    }

    public func restore(_ snapshot: StateSnapshot, prefix: String) throws {
        let held = window.map { min($0, snapshot.position) } ?? snapshot.position
        let heldKeys = try snapshot.tensor("\(prefix)keys", shape: [held] + keys.shape.dropFirst())
        let heldValues = try snapshot.tensor("\(prefix)values", shape: [held] + values.shape.dropFirst())
        if held > capacity {
            capacity = held
            (keys, values) = (heldKeys, heldValues)
        } else {
            try keys.replaceRows(at: 0, with: heldKeys)
            try values.replaceRows(at: 0, with: heldValues)
        }
        count = snapshot.position
    }

    func attend(q: Tensor, k: Tensor, v: Tensor, scale: Float, context: MixerContext) throws -> Tensor {
        let (k, v) = try extend(keys: k, values: v)
        return try q.attention(k: k, v: v, scale: scale, span: AttentionSpan(window: window), documents: context.documents)
    }

    /// Adds the keys and values (1, T, N, ·) of T new tokens and returns those that the new tokens may attend to,
    /// (1, S, N, ·), oldest first except in a full ring when T = 1, where one query sees all of it in any order.
    private func extend(keys newKeys: Tensor, values newValues: Tensor) throws -> (keys: Tensor, values: Tensor) {
        let tokens = newKeys.shape[1]
        try reserve(tokens)
        guard let window else { return try append(newKeys, newValues, tokens) }
        if tokens == 1 {
            try keys.replaceRows(at: count % window, with: newKeys.squeezed())
            try values.replaceRows(at: count % window, with: newValues.squeezed())
            count += 1
            return (try keys.rows(0..<held).batched(), try values.rows(0..<held).batched())
        }
        // A segment: the ring unrolled, then the new tokens; the ring keeps the last ones of them.
        let past = min(count, window - 1)
        var allKeys = try Tensor.empty([past + tokens] + keys.shape.dropFirst())
        var allValues = try Tensor.empty([past + tokens] + values.shape.dropFirst())
        for index in 0..<past {
            let row = (count - past + index) % window
            try allKeys.replaceRows(at: index, with: keys.rows(row..<row + 1))
            try allValues.replaceRows(at: index, with: values.rows(row..<row + 1))
        }
        try allKeys.replaceRows(at: past, with: newKeys.squeezed())
        try allValues.replaceRows(at: past, with: newValues.squeezed())
        for index in max(0, tokens - window)..<tokens {
            let row = (count + index) % window
            try keys.replaceRows(at: row, with: allKeys.rows(past + index..<past + index + 1))
            try values.replaceRows(at: row, with: allValues.rows(past + index..<past + index + 1))
        }
        count += tokens
        return (try allKeys.batched(), try allValues.batched())
    }

    /// Makes room for one more token and binds this cache to a recorded step that writes its key and value.
    func bind(to table: RecordedStep.CacheTable, row: Int) throws {
        try reserve(1)
        let place = window.map { count % $0 } ?? count
        count += 1
        try table.bind(keys: &keys, values: &values, place: place, held: held, row: row)
    }

    /// Room for `tokens` more, of which a window keeps the last. Only a cache that holds all it has seen grows.
    private func reserve(_ tokens: Int) throws {
        let most = window ?? .max, wanted = min(count + tokens, most)
        guard wanted > capacity else { return }
        capacity = min(max(2 * capacity, wanted), most)
        keys = try keys.grown(to: capacity, keeping: count)
        values = try values.grown(to: capacity, keeping: count)
    }

    private func append(_ newKeys: Tensor, _ newValues: Tensor, _ tokens: Int) throws -> (keys: Tensor, values: Tensor)
    {
        try keys.replaceRows(at: count, with: newKeys.squeezed())
        try values.replaceRows(at: count, with: newValues.squeezed())
        count += tokens
        return (try keys.rows(0..<count).batched(), try values.rows(0..<count).batched())
    }
}

extension Tensor {
    /// (1, S, ...) → (S, ...).
    fileprivate func squeezed() throws -> Tensor { try reshaped(Array(shape.dropFirst())) }
    /// (S, ...) → (1, S, ...).
    fileprivate func batched() throws -> Tensor { try reshaped([1] + shape) }

    /// A copy with `rows` rows whose first `kept` are this tensor's.
    fileprivate func grown(to rows: Int, keeping kept: Int) throws -> Tensor {
        var grown = try Tensor.empty([rows] + shape.dropFirst(), dtype)
        try grown.replaceRows(at: 0, with: self.rows(0..<kept))
        return grown
    }

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
