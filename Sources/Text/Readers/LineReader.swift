import Foundation

/// Cuts bytes into lines.
struct LineReader {
    let source: any ByteSource
    private let limit: Int
    /// What is read and not yet given out lies from `start` on; there is no line's end before `searched`.
    private var buffer: [UInt8] = []
    private var start = 0
    private var searched = 0
    private var isAtEnd = false
    private var isInsideLongLine = false
    /// The number of the last line that was given out.
    private(set) var line = 0

    init(_ source: any ByteSource, limit: Int) {
        self.source = source
        self.limit = limit
    }

    /// The next line without its end; nil when there is none.
    /// - Throws: ``DataError/tooLarge(file:place:part:limit:found:)`` once for a line above the limit, which is then
    ///   passed over; and what the source throws, after which there are no more lines.
    mutating func next() throws -> ArraySlice<UInt8>? {
        while true {
            if let end = lineEnd() {
                let range = start..<end
                (start, searched) = (end + 1, end + 1)
                if isInsideLongLine {
                    isInsideLongLine = false
                } else {
                    line += 1
                    // A long line can also end inside the last part read.
                    guard range.count <= limit else { throw tooLong(range.count) }
                    return buffer[range]
                }
            } else if isAtEnd {
                let rest = buffer[start...]
                start = buffer.count
                guard !rest.isEmpty, !isInsideLongLine else { return nil }
                line += 1
                guard rest.count <= limit else { throw tooLong(rest.count) }
                return rest
            } else if buffer.count - start > limit {
                let length = buffer.count - start
                (start, searched) = (buffer.count, buffer.count)
                guard !isInsideLongLine else { continue }
                isInsideLongLine = true
                line += 1
                throw tooLong(length)
            } else {
                try fill()
            }
        }
    }

    private mutating func lineEnd() -> Int? {
        let found = buffer.withUnsafeBytes { bytes -> Int? in
            guard let base = bytes.baseAddress, searched < bytes.count,
                let end = memchr(base + searched, Int32(UInt8(ascii: "\n")), bytes.count - searched)
            else { return nil }
            return UnsafeRawPointer(end) - base
        }
        if found == nil { searched = buffer.count }
        return found
    }

    private mutating func fill() throws {
        buffer.removeSubrange(..<start)
        searched -= start
        start = 0
        do {
            isAtEnd = try !source.read(1 << 18, into: &buffer)
        } catch {
            isAtEnd = true
            buffer = []
            searched = 0
            throw error
        }
    }

    private func tooLong(_ length: Int) -> DataError {
        .tooLarge(
            file: source.path, place: .line(line), part: "the line's length in bytes (maximumLineBytes)",
            limit: limit, found: length)
    }
}
