import CKernels

/// What the machine's memory gives to a program that only reads: the limit of decoding, which reads every weight once a
/// token.
public enum MemoryBandwidth {
    /// Bytes per second of reading a block of `bytes` bytes with all threads, the median of several passes.
    public static func measure(bytes: Int, passes: Int = 9, on device: Device = .cpu) throws -> Double {
        if device == .cuda { return try CUDABackend.opened.get().bandwidth() }
        let page = 4096
        let block = try Tensor.zeros([max(bytes / page, 1) * page], .uint8)
        return try block.withUnsafeBytes { memory in
            var rates: [Double] = []
            // The first pass brings the pages in.
            for pass in 0...passes {
                let start = ContinuousClock.now
                let sum = moult_read_memory(memory.baseAddress, Int64(memory.count))
                let seconds = start.duration(to: .now) / .seconds(1)
                if pass > 0, sum == 0 { rates.append(Double(memory.count) / seconds) }
            }
            return rates.sorted()[rates.count / 2]
        }
    }
}
