/// A device at work, one of each in a process: its operations, its memory, and what it does with work beside doing it.
/// `Storage` is memory that the same device gave.
protocol DeviceRuntime: Sendable {
    /// Which device this is.
    var place: Device { get }
    /// Its operations.
    var backend: any Backend { get }
    /// Those of training.
    var gradientBackend: any GradientBackend { get }
    /// Operations with what stands before or after them; nil where they are done one by one.
    var fusing: (any FusingBackend)? { get }
    /// What recorded work needs; nil where no work is recorded.
    var recording: (any RecordingBackend)? { get }

    /// `count` uninitialised bytes, of its own memory where it has no other.
    func allocate(_ count: Int, in memory: MemoryKind) throws -> Storage
    /// Fills `count` bytes with zeros.
    func zero(_ storage: Storage, at offset: Int, count: Int) throws
    /// Copies from the host.
    func write(_ bytes: UnsafeRawBufferPointer, to storage: Storage, at offset: Int) throws
    /// Copies to the host, when all work before is done.
    func read(_ storage: Storage, at offset: Int, count: Int, to memory: UnsafeMutableRawPointer?) throws
    /// Copies to the beginning of `target`, of the same device.
    func copy(_ storage: Storage, at offset: Int, count: Int, to target: Storage, at place: Int) throws

    /// See ``Device/record(_:)``.
    func record(_ body: () throws -> Void) throws -> any RecordedWork
    /// See ``Device/memoryUse()``.
    func memoryUse() throws -> (available: Int, host: Int)?
    /// See ``Device/peakMemory()`` and ``Device/forgetPeak()``.
    func peakMemory() -> Int?
    func forgetPeak()
    /// See ``Device/groupIdentifier()`` and ``Device/joinGroup(_:rank:ranks:seconds:)``.
    func groupIdentifier() throws -> [UInt8]
    func joinGroup(_ identifier: [UInt8], rank: Int, ranks: Int, seconds: Double) throws -> any DeviceGroup
    /// See ``MemoryBandwidth``.
    func bandwidth(reading weights: [Tensor], passes: Int) throws -> Double
}

/// Work that was recorded on a device.
public protocol RecordedWork: AnyObject {
    /// Does the work once more.
    func run() throws
}

/// What is done for few rows in one go, where the operations of ``Backend`` would be done one after the other.
protocol FusingBackend: Backend {
    /// Linear maps of few rows x (..., I) after `norm`, of one of them with `sum` added; nil where that does not serve.
    func fewRows(
        _ x: Tensor, norm: Normalisation?, weights: [Tensor], biases: [Tensor?], addedTo sum: Tensor?
    ) throws -> [Tensor]?

    /// ``Backend/gated(_:gate:up:)`` of two linear maps of few rows x (..., I) after `norm`; nil where that does not serve.
    func fewRowsGated(
        _ x: Tensor, norm: Normalisation?, _ activation: Activation, gate: (weight: Tensor, bias: Tensor?),
        up: (weight: Tensor, bias: Tensor?)
    ) throws -> Tensor?

    /// Gated Slot Attention of one token of each sequence, q (R, 1, H, K), whose log gates are logsigmoid(gates) / divisor, gates
    /// (R, 1, N · M); the state is updated in place where nobody else holds it.
    func gatedSlotStep(
        q: Tensor, k: Tensor, v: Tensor, gates: Tensor, divisor: Float, scale: Float, state: inout GatedSlotState
    ) throws -> Tensor
}

/// Operations that stand in recorded work beside those of ``Backend``: what changes from one time to the next they read where
/// it stands in the device's memory.
protocol RecordingBackend: FusingBackend {
    /// `cosines` and `sines` (R, K/2) of R rows at `positions` (R), int32; see ``RowAngles``.
    func angles(
        _ positions: Tensor, frequencies: Tensor, farthest: Int, factor: Float, trained: Int, most: Int,
        cosines: Tensor,
        sines: Tensor) throws

    /// ``Backend/rope(_:cosines:sines:offset:documents:)`` of q (B, T, H, K) and k (B, T, N, K).
    func rope(
        q: Tensor, k: Tensor, cosines: Tensor, sines: Tensor, offset: Int, documents: Documents?
    ) throws -> (q: Tensor, k: Tensor)

    /// The place of each token in its document, int32 (B · T), whose first one is that in `first`, int32 (B, T).
    func places(_ first: Tensor) throws -> Tensor

    /// Picks a token of each row of `logits` (R, O), float32: `picked` (R), int32, with -1 where logits are not finite, and `ids`
    /// (R, 1), int32, with 0 there.
    func pick(_ choices: [TokenChoice], from logits: Tensor, into picked: Tensor, ids: Tensor) throws

    /// Adds `taking` to `positions`, (R) int32 both.
    func advance(_ positions: Tensor, taking: Tensor) throws

    /// Attention of one token of each sequence, q (R, 1, H, K), k and v (R, 1, N, K), at `positions` (R), int32, over the
    /// caches (R, N, W, K), to which k and v are added in place; over the sinks with `sinkQueries` (R, 1, H, K) unless nil.
    /// - Parameter mixture: what the result is mixed with; see ``Backend/mix(_:_:logits:)``.
    func attentionStep(
        q: Tensor, k: Tensor, v: Tensor, keys: Tensor, values: Tensor, sinks: Int, sinkQueries: Tensor?,
        positions: Tensor, scale: Float, cap: Float?, mixture: HeadMixture?
    ) throws -> Tensor

    /// Of the positions before `position` in a cache (R, N, W, K) `past`, which are the sinks and then the last of the
    /// others, then x (R, T, N, K): (R, past + T, N, K).
    func read(_ cache: Tensor, sinks: Int, past: Int, then x: Tensor, position: Int) throws -> Tensor

    /// The sinks among x (R, T, N, K), the first of which stands at `position`, and the last of the others into a cache
    /// (R, N, W, K) in place.
    func write(_ x: Tensor, to cache: Tensor, sinks: Int, position: Int) throws
}
