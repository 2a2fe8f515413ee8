import CKernels

/// What the machine's memory gives to a program that only reads: the limit of decoding, which reads every weight once a
/// token.
public enum MemoryBandwidth {
    /// Bytes per second of reading `weights` where they lie with all threads: the fastest of several passes, for other work
    /// on the machine only ever takes away. On a GPU, where a copy is timed, they are not read. 0 for weights of less than a
    /// page.
    public static func measure(_ weights: [Tensor], passes: Int = 9, on device: Device = .cpu) throws -> Double {
        if device == .cuda { return try CUDABackend.opened.get().bandwidth() }
        return withExtendedLifetime(weights) {
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
