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
    /// Extents of what is held of a token of one sequence: N, K.
    public var shape: [Int] { [keys.shape[1], keys.shape[3]] }
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

    /// The same for one new token of each sequence, T = 1, over all positions that the ring holds of each: `positions` (R), int32,
    /// are read on the GPU, so that recorded work serves for all.
    /// - Parameters:
    ///   - sinkQueries: (R, 1, H, K), for q with all sinks, also those that are among the last positions.
    ///   - mixture: what the result is mixed with.
    public mutating func attend(
        q: Tensor, k: Tensor, v: Tensor, scale: Float, cap: Float? = nil, sinkQueries: Tensor? = nil, positions: Tensor,
        mixture: HeadMixture? = nil
    ) throws -> Tensor {
        try positions.requireShape("attend", "positions", [keys.shape[0]])
        try mixture?.require(q)
        try makeUnique()
        return try keys.recordingBackend("attend", with: q, k, v, sinkQueries, positions).attentionStep(
            q: q, k: k, v: v, keys: keys, values: values, sinks: sinks, sinkQueries: sinkQueries,
            positions: positions, scale: scale, cap: cap, mixture: mixture)
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

    /// Row `row` of this ring becomes what `other` holds of one sequence, of which `count` tokens were read and for which there is
    /// room.
    public mutating func put(_ other: KeyValueRing, at row: Int, count: Int) throws {
        try Self.requireOne(other.keys)
        guard shape == other.shape, sinks == other.sinks else {
            throw TensorError.shape(
                operation: "put", argument: "other", expected: "rows of \(shape)", found: other.keys.shape)
        }
        let backend = try keys.recordingBackend("put", with: other.keys)
        try makeUnique()
        for (ring, other) in [(keys, other.keys), (values, other.values)] {
            var place = try ring.rows(row..<row + 1)
            if other.shape == place.shape {
                try place.take(other)
            } else if count > 0 {
                // One of them is shorter than the span, and all that was read is in order.
                let none = try Tensor.empty([1, 0] + shape, .bfloat16, on: keys.device)
                let held = try backend.read(other, sinks: sinks, past: count, then: none, position: count)
                try backend.write(held, to: place, sinks: sinks, position: 0)
            }
        }
    }

    /// A ring of its own with what row `row` holds.
    public func taken(_ row: Int) throws -> KeyValueRing {
        var ring = try KeyValueRing(
            rows: 1, heads: shape[0], dim: shape[1], capacity: capacity, sinks: sinks, on: keys.device)
        try ring.keys.take(keys.rows(row..<row + 1))
        try ring.values.take(values.rows(row..<row + 1))
        return ring
    }

    /// What is held of one sequence, R = 1, of which `count` tokens were read: keys and values (S, N, K), float32, on the
    /// processor, by places.
    public func held(_ count: Int) throws -> (keys: Tensor, values: Tensor) {
        let held = min(count, capacity)
        return (try Self.byPlaces(keys, held), try Self.byPlaces(values, held))
    }

    /// Takes over what another ring held of one sequence, no more than there is room for.
    public mutating func hold(keys newKeys: Tensor, values newValues: Tensor) throws {
        (keys, values) = (try Self.byHeads(newKeys, in: keys), try Self.byHeads(newValues, in: values))
    }

    /// (1, N, W, K) → (S, N, K), the first S places.
    private static func byPlaces(_ ring: Tensor, _ held: Int) throws -> Tensor {
        try requireOne(ring)
        let (heads, places, dim) = (ring.shape[1], ring.shape[2], ring.shape[3])
        let from = try ring.to(.cpu).converted(to: .float32).array(Float.self)
        var to: [Float] = []
        to.reserveCapacity(held * heads * dim)
        for place in 0..<held {
            for head in 0..<heads {
                let start = (head * places + place) * dim
                to += from[start..<start + dim]
            }
        }
        return try Tensor(to, shape: [held, heads, dim])
    }

    /// (S, N, K) → (1, N, W, K), zeros in the places that are free, like `ring`.
    private static func byHeads(_ held: Tensor, in ring: Tensor) throws -> Tensor {
        try requireOne(ring)
        let (heads, places, dim) = (ring.shape[1], ring.shape[2], ring.shape[3])
        guard held.rank == 3, held.shape[0] <= places, held.shape[1...] == [heads, dim] else {
            throw TensorError.shape(
                operation: "hold", argument: "keys", expected: "up to \(places) of [\(heads), \(dim)]",
                found: held.shape)
        }
        let from = try held.array(Float.self)
        var to = [Float](repeating: 0, count: heads * places * dim)
        for place in 0..<held.shape[0] {
            for head in 0..<heads {
                let (start, target) = ((place * heads + head) * dim, (head * places + place) * dim)
                to.replaceSubrange(target..<target + dim, with: from[start..<start + dim])
            }
        }
        return try Tensor(to, shape: ring.shape).converted(to: ring.dtype).to(ring.device)
    }

    private static func requireOne(_ ring: Tensor) throws {
        guard ring.shape[0] == 1 else {
            throw TensorError.shape(
                operation: "KeyValueRing", argument: "ring", expected: "one sequence", found: ring.shape)
        }
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

/// What heads (B, T, H, V) are mixed with: ``Tensor/mix(_:_:logits:)`` has them first.
public struct HeadMixture: Sendable {
    /// (B, T, H, V).
    public var other: Tensor
    /// (B, T, H).
    public var logits: Tensor

    /// A mixture with `other`, by `logits`.
    public init(_ other: Tensor, logits: Tensor) { (self.other, self.logits) = (other, logits) }

    /// The heads x, mixed.
    public func callAsFunction(_ x: Tensor) throws -> Tensor { try Tensor.mix(x, other, logits: logits) }

    /// Fails unless they fit heads of x's shape.
    func require(_ x: Tensor) throws {
        try x.requireDevice("mix", [other, logits])
        try other.requireActivation("mix", "other", x.shape.map { $0 })
        try logits.requireActivation("mix", "logits", x.shape.dropLast().map { $0 })
    }
}
