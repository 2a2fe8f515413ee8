import CCompression

/// Decompresses zstd.
final class ZstandardStream: StreamDecompressor {
    let codec = "zstd"
    private let zstandard: Zstandard
    private let stream: UnsafeMutableRawPointer

    /// - Parameter file: the data that needs it, for the error.
    init(for file: String) throws {
        zstandard = try Zstandard.loaded(for: file)
        guard let stream = moult_zstd_stream_create(zstandard.functions) else {
            throw DataError.unreadable(file: file, reason: "too little memory")
        }
        self.stream = stream
    }

    deinit { moult_zstd_stream_free(zstandard.functions, stream) }

    func step(
        into output: UnsafeMutableRawBufferPointer, made: inout Int, from input: UnsafeRawBufferPointer,
        taken: inout Int
    ) -> StreamStep {
        let code = moult_zstd_stream_step(
            zstandard.functions, stream, output.baseAddress, output.count, &made, input.baseAddress, input.count,
            &taken)
        if let reason = zstandard.error(code) { return .damaged(reason: reason) }
        return code == 0 ? .endsFrame : .goesOn
    }
}
