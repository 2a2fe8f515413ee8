/// The decompressed bytes of a file: one frame, or member, or several.
final class CompressedSource: ByteSource {
    private let source: FileSource
    private var decompressor: (any StreamDecompressor)?
    /// Compressed bytes, taken up to `position`.
    private var input: [UInt8] = []
    private var position = 0
    private var isInsideFrame = false
    /// Whether the library stopped for want of room, and may hold more output.
    private var holdsOutput = false
    private static let chunk = 1 << 17

    var path: String { source.path }
    var bytesRead: Int { source.bytesRead }

    init(_ source: FileSource, _ decompressor: any StreamDecompressor) {
        (self.source, self.decompressor) = (source, decompressor)
    }

    func read(_ count: Int, into buffer: inout [UInt8]) throws -> Bool {
        while let decompressor {
            do {
                guard try fill(decompressor) else {
                    self.decompressor = nil
                    return false
                }
                var made = 0
                var step = StreamStep.endsFrame
                let room = min(count, Self.chunk)
                let output = [UInt8](unsafeUninitializedCapacity: room) { output, filled in
                    step = input.withUnsafeBytes {
                        decompressor.step(
                            into: UnsafeMutableRawBufferPointer(start: output.baseAddress, count: room), made: &made,
                            from: $0, taken: &position)
                    }
                    filled = made
                }
                if case .damaged(let reason) = step { throw damage(decompressor, reason) }
                isInsideFrame = step == .goesOn
                holdsOutput = isInsideFrame && made == room
                guard made > 0 else { continue }
                buffer += output
                return true
            } catch {
                self.decompressor = nil
                throw error
            }
        }
        return false
    }

    /// Sees to it that there is input, or that the library still holds output; false at a proper end.
    private func fill(_ decompressor: any StreamDecompressor) throws -> Bool {
        guard position == input.count, !holdsOutput else { return true }
        input.removeAll(keepingCapacity: true)
        position = 0
        if try source.read(Self.chunk, into: &input) { return true }
        guard isInsideFrame else { return false }
        throw damage(decompressor, "it ends inside a frame")
    }

    private func damage(_ decompressor: any StreamDecompressor, _ reason: String) -> DataError {
        .compression(
            file: path, place: .byte(source.bytesRead - input.count + position), codec: decompressor.codec,
            reason: reason)
    }
}
