import CCompression

/// The decompressed bytes of a .zst file: one frame or several.
final class ZstandardSource: ByteSource {
    private let source: FileSource
    private let zstandard: Zstandard
    private var stream: UnsafeMutableRawPointer?
    /// Compressed bytes, taken up to `position`.
    private var input: [UInt8] = []
    private var position = 0
    private var isInsideFrame = false
    /// Whether the library stopped for want of room, and may hold more output.
    private var holdsOutput = false
    private static let chunk = 1 << 17

    var path: String { source.path }
    var bytesRead: Int { source.bytesRead }

    init(_ source: FileSource) throws {
        self.source = source
        zstandard = try Zstandard.loaded(for: source.path)
        stream = moult_zstd_stream_create(zstandard.functions)
        guard stream != nil else { throw DataError.unreadable(file: source.path, reason: "too little memory") }
    }

    deinit { close() }

    func read(_ count: Int, into buffer: inout [UInt8]) throws -> Bool {
        while let stream {
            do {
                guard try fill() else {
                    close()
                    return false
                }
                var (made, code) = (0, 0)
                let room = min(count, Self.chunk)
                let output = [UInt8](unsafeUninitializedCapacity: room) { output, filled in
                    code = input.withUnsafeBytes {
                        moult_zstd_stream_step(
                            zstandard.functions, stream, output.baseAddress, room, &made, $0.baseAddress,
                            $0.count, &position)
                    }
                    filled = made
                }
                if let reason = zstandard.error(code) { throw damage(reason) }
                isInsideFrame = code != 0
                holdsOutput = isInsideFrame && made == room
                guard made > 0 else { continue }
                buffer += output
                return true
            } catch {
                close()
                throw error
            }
        }
        return false
    }

    /// Sees to it that there is input, or that the library still holds output; false at a proper end.
    private func fill() throws -> Bool {
        guard position == input.count, !holdsOutput else { return true }
        input.removeAll(keepingCapacity: true)
        position = 0
        if try source.read(Self.chunk, into: &input) { return true }
        guard isInsideFrame else { return false }
        throw damage("it ends inside a frame")
    }

    private func close() {
        if let stream { moult_zstd_stream_free(zstandard.functions, stream) }
        stream = nil
    }

    private func damage(_ reason: String) -> DataError {
        .compression(
            file: path, place: .byte(source.bytesRead - input.count + position), codec: "zstd", reason: reason)
    }
}
