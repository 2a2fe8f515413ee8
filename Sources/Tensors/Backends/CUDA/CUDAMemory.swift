import Synchronization

/// A block of memory that a GPU reaches: its own, or the host's. It goes back to the allocator with its last owner; since all work
/// runs in the order in which it is given, the next owner may have it at once.
final class CUDABlock: Sendable {
    let address: UInt64
    let size: CUDAMemory.Size
    /// The recording that the block was made for, which alone may use it again.
    private let recording: Int?
    private let memory: CUDAMemory

    var kind: MemoryKind { size.kind }

    init(count: Int, _ kind: MemoryKind, in memory: CUDAMemory) throws {
        self.memory = memory
        (address, size, recording) = try memory.take(count, kind)
    }

    deinit { memory.give(address, size, recording) }
}

/// Keeps freed blocks by kind and size for the next tensor of that size: a training step asks for the same sizes again and again,
/// and the driver's own allocation waits for all work.
///
/// What a recorded piece of work uses stays its own as long as the recording lives: a replay writes to the same addresses.
final class CUDAMemory: Sendable {
    /// What one block may stand for another by.
    struct Size: Hashable {
        let kind: MemoryKind
        let bytes: Int
    }

    /// Bytes of one kind of memory: from the driver, of those in tensors, and the most of these at once.
    private struct Tally {
        var (held, used, peak) = (0, 0, 0)
    }

    private struct State {
        var free: [Size: [UInt64]] = [:]
        /// Blocks of recordings, by recording and size.
        var recorded: [Int: [Size: [UInt64]]] = [:]
        var recording: Int?
        var recordings = 0
        var tallies: [MemoryKind: Tally] = [:]
    }

    private let device: CUDADevice
    private let state = Mutex(State())

    init(_ device: CUDADevice) { self.device = device }

    private func tally(_ kind: MemoryKind) -> Tally { state.withLock { $0.tallies[kind] ?? Tally() } }

    /// The most bytes of the GPU's own memory that tensors have taken at once.
    var peak: Int { tally(.device).peak }
    /// Counts that anew.
    func forgetPeak() {
        state.withLock { state in
            let used = state.tallies[.device]?.used ?? 0
            state.tallies[.device]?.peak = used
        }
    }
    /// Bytes of the host's memory that tensors take.
    var hostBytes: Int { tally(.host).used }
    /// Bytes of the GPU's own memory that a tensor could still get.
    func available() throws -> Int {
        let (free, tally) = (try device.memory().free, tally(.device))
        return free + tally.held - tally.used
    }

    func take(_ count: Int, _ kind: MemoryKind) throws -> (UInt64, Size, Int?) {
        let unit = device.isChecked ? 1 : count > 1 << 20 ? 2 << 20 : 512
        let size = Size(kind: kind, bytes: max(unit, (count + unit - 1) / unit * unit))
        return try state.withLock { state in
            let address: UInt64
            if let recording = state.recording, let own = state.recorded[recording]?[size]?.popLast() {
                address = own
            } else if let known = state.free[size]?.popLast() {
                address = known
            } else {
                address = try allocate(size, &state)
            }
            var tally = state.tallies[kind] ?? Tally()
            tally.used += size.bytes
            tally.peak = max(tally.peak, tally.used)
            state.tallies[kind] = tally
            return (address, size, state.recording)
        }
    }

    /// New memory from the driver, after giving back what nobody uses if need be.
    private func allocate(_ size: Size, _ state: inout State) throws -> UInt64 {
        if let address = try device.allocate(size.bytes, size.kind) {
            state.tallies[size.kind, default: Tally()].held += size.bytes
            return address
        }
        // The driver must not wait for other work while it records.
        if state.recording == nil {
            try device.synchronise()
            for (other, addresses) in state.free where other.kind == size.kind {
                addresses.forEach { device.release($0, other.kind) }
                state.tallies[other.kind]?.held -= other.bytes * addresses.count
                state.free[other] = nil
            }
            if let address = try device.allocate(size.bytes, size.kind) {
                state.tallies[size.kind, default: Tally()].held += size.bytes
                return address
            }
        }
        let used = state.tallies[size.kind]?.used ?? 0
        guard size.kind == .device else { throw TensorError.outOfHostMemory(bytes: size.bytes, used: used) }
        let (free, total) = try device.memory()
        throw TensorError.outOfDeviceMemory(bytes: size.bytes, free: free, used: used, total: total)
    }

    func give(_ address: UInt64, _ size: Size, _ recording: Int?) {
        state.withLock { state in
            state.tallies[size.kind]?.used -= size.bytes
            if let recording, state.recorded[recording] != nil {
                state.recorded[recording]?[size, default: []].append(address)
            } else if device.isChecked, state.recording == nil {
                device.release(address, size.kind)
                state.tallies[size.kind]?.held -= size.bytes
            } else {
                state.free[size, default: []].append(address)
            }
        }
    }

    /// Blocks taken from now on belong to the recording with the number given, until ``endRecording()``.
    func beginRecording() -> Int {
        state.withLock { state in
            state.recordings += 1
            state.recording = state.recordings
            state.recorded[state.recordings] = [:]
            return state.recordings
        }
    }

    func endRecording() { state.withLock { $0.recording = nil } }

    /// The recording is gone: its blocks are everybody's.
    func forget(_ recording: Int) {
        state.withLock { state in
            for (size, addresses) in state.recorded.removeValue(forKey: recording) ?? [:] {
                state.free[size, default: []] += addresses
            }
        }
    }
}
