/// What the machine's memory gives to a program that only reads: the limit of decoding, which reads every weight once a
/// token.
public enum MemoryBandwidth {
    /// Bytes per second of reading `weights` where they lie with all threads: the fastest of several passes, for other work
    /// on the machine only ever takes away. On a GPU, where a copy is timed, they are not read. 0 for weights of less than a
    /// page.
    public static func measure(_ weights: [Tensor], passes: Int = 9, on device: Device = .cpu) throws -> Double {
        try device.runtime.bandwidth(reading: weights, passes: passes)
    }
}
