/// Decompresses a stream whose bytes come in parts.
protocol StreamDecompressor: AnyObject {
    /// Its name, for errors.
    var codec: String { get }

    /// Decompresses what it can.
    /// - Parameters:
    ///   - made: the bytes of `output` that are written; what is written now is added.
    ///   - taken: the bytes of `input` that are used; what is used now is added.
    func step(
        into output: UnsafeMutableRawBufferPointer, made: inout Int, from input: UnsafeRawBufferPointer,
        taken: inout Int
    ) -> StreamStep
}

/// Where a step of decompression ended.
enum StreamStep: Equatable {
    /// At the end of a frame, behind which another may begin.
    case endsFrame
    /// Inside a frame.
    case goesOn
    /// At bytes that cannot be; there are no further steps.
    case damaged(reason: String)
}
