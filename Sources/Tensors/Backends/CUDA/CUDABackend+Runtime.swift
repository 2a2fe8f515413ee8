extension DeviceTraits {
    /// Those of an NVIDIA GPU.
    static let cuda = DeviceTraits(
        precisions: [.bfloat16], cacheTypes: [.bfloat16], matrixType: .bfloat16, recordsWork: true, readsInStep: true,
        worksAside: true, joinsGroups: true, hasOwnMemory: true, isAccelerator: true)
}

extension CUDABackend: DeviceRuntime {
    var place: Device { device.place }
    var backend: any Backend { self }
    var gradientBackend: any GradientBackend { self }
    var fusing: (any FusingBackend)? { self }
    var recording: (any RecordingBackend)? { self }

    func allocate(_ count: Int, in kind: MemoryKind) throws -> Storage {
        Storage(try CUDABlock(count: count, kind, in: memory), of: self)
    }

    func zero(_ storage: Storage, at offset: Int, count: Int) throws {
        try device.zero(storage.address(at: offset), bytes: count)
    }

    func write(_ bytes: UnsafeRawBufferPointer, to storage: Storage, at offset: Int) throws {
        let address = storage.address(at: offset)
        guard storage.block?.kind == .host else { return try device.upload(bytes, to: address) }
        try device.hostBytes(at: address, count: bytes.count).copyMemory(from: bytes)
    }

    func read(_ storage: Storage, at offset: Int, count: Int, to memory: UnsafeMutableRawPointer?) throws {
        let address = storage.address(at: offset)
        guard storage.block?.kind == .host else {
            return try device.download(memory, from: address, bytes: count)
        }
        UnsafeMutableRawBufferPointer(start: memory, count: count)
            .copyMemory(from: UnsafeRawBufferPointer(try device.hostBytes(at: address, count: count)))
    }

    func copy(_ storage: Storage, at offset: Int, count: Int, to target: Storage, at place: Int) throws {
        try device.copy(to: target.address(at: place), from: storage.address(at: offset), bytes: count)
    }

    func memoryUse() throws -> (available: Int, host: Int)? { (try memory.available(), memory.hostBytes) }
    func peakMemory() -> Int? { memory.peak }
    func forgetPeak() { memory.forgetPeak() }

    /// Bytes read and written a second while memory is copied, the best of several gigabyte-sized passes.
    func bandwidth(reading weights: [Tensor], passes: Int) throws -> Double {
        let bytes = 512 << 20
        let (from, to) = (try zeros([bytes], .uint8), try empty([bytes], .uint8))
        let seconds = try (0..<passes).map { _ in
            let start = ContinuousClock.now
            try device.copy(to: to.deviceAddress, from: from.deviceAddress, bytes: bytes)
            try device.synchronise()
            return start.duration(to: .now) / .seconds(1)
        }
        return 2 * Double(bytes) / (seconds.min() ?? 1)
    }

    func record(_ body: () throws -> Void) throws -> any RecordedWork {
        let recording = memory.beginRecording()
        do {
            try device.beginCapture()
            do { try body() } catch {
                // Ends the capture, whose result is of no use.
                if let graph = try? device.endCapture() { device.forget(graph) }
                throw error
            }
            let graph = try device.endCapture()
            memory.endRecording()
            return CUDAGraph(self, graph, recording)
        } catch {
            memory.endRecording()
            memory.forget(recording)
            throw error
        }
    }
}

/// Recorded work on a GPU (a CUDA graph): one call of the driver runs all of its kernels.
final class CUDAGraph: RecordedWork {
    private let backend: CUDABackend
    private let graph: UnsafeMutableRawPointer?
    private let recording: Int

    init(_ backend: CUDABackend, _ graph: UnsafeMutableRawPointer?, _ recording: Int) {
        (self.backend, self.graph, self.recording) = (backend, graph, recording)
    }

    func run() throws { try backend.device.replay(graph) }

    deinit {
        try? backend.device.synchronise()
        backend.device.forget(graph)
        backend.memory.forget(recording)
    }
}

extension Storage {
    /// The byte at `offset`, on the GPU; as an address of none, on the host.
    fileprivate func address(at offset: Int) -> UInt64 { block.map { $0.address + UInt64(offset) } ?? 0 }
}
