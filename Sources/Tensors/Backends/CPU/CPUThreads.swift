import CKernels

/// The threads that compute on the processor.
public enum CPUThreads {
    /// The most that ``use(_:)`` takes: the processors that the process may use.
    public static var most: Int { Int(moult_thread_limit()) }

    /// How many compute, the caller's included.
    public static var count: Int { Int(moult_thread_count()) }

    /// Sets how many compute, whatever `MOULT_THREADS` says.
    /// - Parameter count: 1 to ``most``.
    public static func use(_ count: Int) { moult_set_threads(Int32(clamping: max(1, min(count, most)))) }
}
