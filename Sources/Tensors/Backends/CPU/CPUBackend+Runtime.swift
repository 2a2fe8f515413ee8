import CKernels

extension DeviceTraits {
    /// Those of a processor.
    static let cpu = DeviceTraits(
        precisions: [.float32], cacheTypes: CacheType.allCases, matrixType: nil, recordsWork: false, readsInStep: false,
        worksAside: false, joinsGroups: false, hasOwnMemory: false, isAccelerator: false)
}

extension CPUBackend: DeviceRuntime {
    var place: Device { .cpu }
    var backend: any Backend { self }
    var gradientBackend: any GradientBackend { self }
    var fusing: (any FusingBackend)? { nil }
    var recording: (any RecordingBackend)? { nil }

    func allocate(_ count: Int, in memory: MemoryKind = .device) throws -> Storage { try Storage(hostCount: count) }

    func zero(_ storage: Storage, at offset: Int, count: Int) {
        guard let base = storage.bytes.baseAddress else { return }
        (base + offset).initializeMemory(as: UInt8.self, repeating: 0, count: count)
    }

    func write(_ bytes: UnsafeRawBufferPointer, to storage: Storage, at offset: Int) {
        guard let from = bytes.baseAddress, let base = storage.bytes.baseAddress else { return }
        (base + offset).copyMemory(from: from, byteCount: bytes.count)
    }

    func read(_ storage: Storage, at offset: Int, count: Int, to memory: UnsafeMutableRawPointer?) {
        guard let memory, let base = storage.bytes.baseAddress else { return }
        memory.copyMemory(from: base + offset, byteCount: count)
    }

    func copy(_ storage: Storage, at offset: Int, count: Int, to target: Storage, at place: Int) {
        write(UnsafeRawBufferPointer(rebasing: storage.bytes[offset..<offset + count]), to: target, at: place)
    }

    func record(_ body: () throws -> Void) throws -> any RecordedWork {
        throw TensorError.device("work on the processor is not recorded")
    }

    func memoryUse() -> (available: Int, host: Int)? { nil }
    func peakMemory() -> Int? { nil }
    func forgetPeak() {}

    func bandwidth(reading weights: [Tensor], passes: Int) -> Double {
        withExtendedLifetime(weights) {
            let regions = weights.map { moult_region(memory: $0.address, bytes: Int64($0.byteCount)) }
            let page = Int64(moult_page_bytes)
            let bytes = regions.reduce(0) { $0 + $1.bytes / page * page }
            var (fastest, sum) = (Double.infinity, UInt64(0))
            // The first pass brings the pages in.
            for pass in 0...passes {
                let start = ContinuousClock.now
                sum &+= moult_read_memory(regions, Int64(regions.count))
                if pass > 0 { fastest = min(fastest, start.duration(to: .now) / .seconds(1)) }
            }
            return bytes > 0 ? Double(bytes) / fastest : 0
        }
    }
}
