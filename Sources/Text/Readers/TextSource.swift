import Support

/// The bytes of a text in UTF-8, without the mark that may stand before them.
final class TextSource: ByteSource {
    private let source: any ByteSource
    /// Whether lines that end as those of Windows are given out as those of Unix, which Python's readers of text do.
    private let joinsLineEnds: Bool
    private var isAtStart = true
    /// A carriage return that was read last: what comes after it says whether it ends a line.
    private var holdsReturn = false

    var path: String { source.path }
    var bytesRead: Int { source.bytesRead }

    init(_ source: any ByteSource, joinsLineEnds: Bool) { (self.source, self.joinsLineEnds) = (source, joinsLineEnds) }

    /// - Throws: ``DataError/encoding(file:found:)`` for a text in another encoding.
    func read(_ count: Int, into buffer: inout [UInt8]) throws -> Bool {
        var part: [UInt8] = holdsReturn ? [0x0D] : []
        holdsReturn = false
        var goesOn = try source.read(count, into: &part)
        if isAtStart {
            isAtStart = false
            while goesOn, part.count < TextEncoding.headLength { goesOn = try source.read(count, into: &part) }
            if let found = TextEncoding.foreign(part) { throw DataError.encoding(file: path, found: found) }
            part = Array(TextEncoding.unmarked(part))
        }
        if joinsLineEnds, part.contains(0x0D) {
            if goesOn, part.last == 0x0D {
                part.removeLast()
                holdsReturn = true
            }
            buffer.reserveCapacity(buffer.count + part.count)
            for (index, byte) in part.enumerated()
            where byte != 0x0D || index + 1 == part.count || part[index + 1] != 0x0A { buffer.append(byte) }
        } else {
            buffer += part
        }
        return goesOn || !part.isEmpty
    }
}
