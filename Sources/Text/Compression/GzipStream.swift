import CCompression

/// Decompresses gzip.
final class GzipStream: StreamDecompressor {
    let codec = "gzip"
    private let stream: UnsafeMutableRawPointer

    /// - Parameter file: the data that needs it, for the error.
    init(for file: String) throws {
        guard let stream = moult_gzip_stream_create() else {
            throw DataError.missingLibrary(file: file, library: "libz.so.1", package: "zlib1g")
        }
        self.stream = stream
    }

    deinit { moult_gzip_stream_free(stream) }

    func step(
        into output: UnsafeMutableRawBufferPointer, made: inout Int, from input: UnsafeRawBufferPointer,
        taken: inout Int
    ) -> StreamStep {
        let code = moult_gzip_stream_step(
            stream, output.baseAddress, output.count, &made, input.baseAddress, input.count, &taken)
        switch code {
        case 0: return .endsFrame
        case 1: return .goesOn
        default: return .damaged(reason: "these bytes are not gzip's, or their checksum is another")
        }
    }
}
