import Tensors

/// Keys and values of several sequences on a GPU, in room that grows: all of them, or with a window until it is a ring of the
/// last `window` tokens.
final class DeviceKeyValueCache: AttentionCache {
    private let window: Int?
    private var ring: KeyValueRing

    init(rows: Int, heads: Int, dim: Int, window: Int?) throws {
        self.window = window
        ring = try KeyValueRing(rows: rows, heads: heads, dim: dim, capacity: 1)
    }

    private init(copying other: DeviceKeyValueCache) { (window, ring) = (other.window, other.ring) }

    func attend(q: Tensor, k: Tensor, v: Tensor, scale: Float, context: MixerContext) throws -> Tensor {
        guard context.documents == nil else {
            throw ModelError.input(expected: "one document that goes on", found: "packed documents")
        }
        if let position = context.recordedPosition {
            return try ring.attend(q: q, k: k, v: v, scale: scale, position: position)
        }
        return try ring.attend(
            q: q, k: k, v: v, scale: scale, span: AttentionSpan(window: window), position: context.position)
    }

    func reserve(_ positions: Int, count: Int) throws {
        // While the ring is shorter than the window, it holds all that was read.
        let wanted = min(positions, window ?? .max)
        if wanted > ring.capacity { try ring.grow(to: wanted, count: count) }
    }

    var byteCount: Int { ring.byteCount }

    func copy() -> MixerState { DeviceKeyValueCache(copying: self) }

    func undo() -> () -> Void { { [self, ring] in self.ring = ring } }

    func store(in snapshot: inout StateSnapshot, prefix: String) throws { throw Self.staysHere }

    func restore(_ snapshot: StateSnapshot, prefix: String) throws { throw Self.staysHere }

    private static let staysHere = ModelError.input(
        expected: "a state on the processor", found: "keys and values on a GPU, which are not saved")
}
