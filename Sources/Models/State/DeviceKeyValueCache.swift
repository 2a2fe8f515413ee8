import Tensors

/// Keys and values of several sequences on a GPU, in room that grows: all of them, or with a window until it holds the sinks
/// and is a ring of the last `window` others.
final class DeviceKeyValueCache: AttentionCache {
    private let span: AttentionSpan
    private var ring: KeyValueRing

    init(rows: Int, heads: Int, dim: Int, span: AttentionSpan, on device: Device) throws {
        self.span = span
        ring = try KeyValueRing(
            rows: rows, heads: heads, dim: dim, capacity: span.sinks + 1, sinks: span.window == nil ? 0 : span.sinks,
            on: device)
    }

    private init(_ span: AttentionSpan, _ ring: KeyValueRing) { (self.span, self.ring) = (span, ring) }

    func attend(_ heads: AttentionHeads, context: MixerContext) throws -> Tensor {
        try attend(heads, context: context, mixture: nil)
    }

    func attend(_ heads: AttentionHeads, context: MixerContext, mixture: HeadMixture?) throws -> Tensor {
        guard context.documents == nil else {
            throw ModelError.input(expected: "one document that goes on", found: "packed documents")
        }
        if let positions = context.recordedPositions {
            return try ring.attend(
                q: heads.q, k: heads.k, v: heads.v, scale: heads.scale, cap: heads.cap, sinkQueries: heads.sinkQueries,
                positions: positions, mixture: mixture)
        }
        let attended = try ring.attend(
            q: heads.q, k: heads.k, v: heads.v, scale: heads.scale, cap: heads.cap, span: span,
            sinkQueries: heads.sinkQueries, position: context.position)
        return try mixture.map { try $0(attended) } ?? attended
    }

    func reserve(_ positions: Int, count: Int) throws {
        // While the ring is shorter than the window, it holds all that was read.
        let wanted = min(positions, span.window.map { $0 + span.sinks } ?? .max)
        if wanted > ring.capacity { try ring.grow(to: wanted, count: count) }
    }

    var byteCount: Int { ring.byteCount }

    func copy() -> MixerState { DeviceKeyValueCache(span, ring) }

    func put(_ other: any MixerState, at row: Int, count: Int) throws {
        try ring.put(other.required(as: DeviceKeyValueCache.self).ring, at: row, count: count)
    }

    func taken(_ row: Int) throws -> any MixerState { DeviceKeyValueCache(span, try ring.taken(row)) }

    func undo() -> () -> Void { { [self, ring] in self.ring = ring } }

    /// The tokens that are held when `position` were read.
    private func held(_ position: Int) -> Int { min(position, span.most ?? .max) }

    func store(in snapshot: inout StateSnapshot, prefix: String) throws {
        let (keys, values) = try ring.held(held(snapshot.position))
        try snapshot.append("\(prefix)keys", keys)
        try snapshot.append("\(prefix)values", values)
    }

    func restore(_ snapshot: StateSnapshot, prefix: String) throws {
        let held = held(snapshot.position)
        func stored(_ name: String) throws -> Tensor {
            try snapshot.tensor("\(prefix)\(name)", shape: [held] + ring.shape)
        }
        let (keys, values) = (try stored("keys"), try stored("values"))
        try reserve(snapshot.position, count: 0)
        try ring.hold(keys: keys, values: values)
    }
}
