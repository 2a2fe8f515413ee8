import Synchronization

/// A block of GPU memory. It goes back to the allocator with its last owner; since all work runs in the order in which it is
/// given, the next owner may have it at once.
final class CUDABlock: Sendable {
    let address: UInt64
    let capacity: Int
    /// The recording that the block was made for, which alone may use it again.
    private let recording: Int?
    private let memory: CUDAMemory

    init(count: Int, in memory: CUDAMemory) throws {
        self.memory = memory
        (address, capacity, recording) = try memory.take(count)
    }

    deinit { memory.give(address, capacity, recording) }
}

/// Keeps freed blocks by size for the next tensor of that size: a training step asks for the same sizes again and again, and
/// the driver's own allocation waits for all work.
///
/// What a recorded piece of work uses stays its own as long as the recording lives: a replay writes to the same addresses.
final class CUDAMemory: Sendable {
    private struct State {
        var free: [Int: [UInt64]] = [:]
        /// Blocks of recordings, by recording and size.
        var recorded: [Int: [Int: [UInt64]]] = [:]
        var recording: Int?
        var recordings = 0
        var held = 0
        var used = 0
        var peak = 0
    }

    private let device: CUDADevice
    private let state = Mutex(State())

    init(_ device: CUDADevice) { self.device = device }

    /// The most bytes that tensors have taken at once.
    var peak: Int { state.withLock { $0.peak } }
    /// Bytes that a tensor could still get.
    func available() throws -> Int {
        let free = try device.memory().free
        return state.withLock { free + $0.held - $0.used }
    }

    func take(_ count: Int) throws -> (UInt64, Int, Int?) {
        let unit = device.isChecked ? 1 : count > 1 << 20 ? 2 << 20 : 512
        let capacity = max(unit, (count + unit - 1) / unit * unit)
        return try state.withLock { state in
            let address: UInt64
            if let recording = state.recording, let own = state.recorded[recording]?[capacity]?.popLast() {
                address = own
            } else if let known = state.free[capacity]?.popLast() {
                address = known
            } else {
                address = try allocate(capacity, &state)
            }
            state.used += capacity
            state.peak = max(state.peak, state.used)
            return (address, capacity, state.recording)
        }
    }

    /// New memory from the driver, after giving back what nobody uses if need be.
    private func allocate(_ capacity: Int, _ state: inout State) throws -> UInt64 {
        if let address = try device.allocate(capacity) {
            state.held += capacity
            return address
        }
        // The driver must not wait for other work while it records.
        if state.recording == nil {
            try device.synchronise()
            for (size, addresses) in state.free {
                addresses.forEach(device.release)
                state.held -= size * addresses.count
            }
            state.free = [:]
            if let address = try device.allocate(capacity) {
                state.held += capacity
                return address
            }
        }
        let (free, total) = try device.memory()
        throw TensorError.outOfDeviceMemory(bytes: capacity, free: free, used: state.used, total: total)
    }

    func give(_ address: UInt64, _ capacity: Int, _ recording: Int?) {
        state.withLock { state in
            state.used -= capacity
            if let recording, state.recorded[recording] != nil {
                state.recorded[recording]?[capacity, default: []].append(address)
            } else if device.isChecked, state.recording == nil {
                device.release(address)
                state.held -= capacity
            } else {
                state.free[capacity, default: []].append(address)
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
