import Foundation
import Tokenizers

/// Reads plain text: one document, or several with a separator between them.
struct TextReader: DocumentReader {
    private let source: any ByteSource
    private let separator: [UInt8]
    private let limit: Int
    /// Bytes beyond the limit that are looked at: a whole separator, and whether there is more.
    private let margin: Int
    /// What is read and not yet given out lies from `start` on.
    private var buffer: [UInt8] = []
    private var start = 0
    private var line = 1
    private var isAtEnd = false

    var bytesRead: Int { source.bytesRead }

    init(_ source: any ByteSource, _ options: DataOptions) {
        self.source = source
        separator = Array((options.separator ?? "").utf8)
        limit = options.maximumPieceBytes
        margin = max(1, separator.count)
    }

    mutating func next() throws -> DocumentPiece? {
        try fill()
        guard start < buffer.count else { return nil }
        // A separator that begins before the limit ends inside this window, so that no cut divides one.
        let window = buffer[start..<min(buffer.count, start + limit + margin)]
        if let found = offset(of: separator, in: window) {
            return take(found, dropping: separator.count, endsDocument: true)
        }
        guard window.count > limit else { return take(window.count, dropping: 0, endsDocument: true) }
        return take(textCut(window, limit: limit), dropping: 0, endsDocument: false)
    }

    private mutating func fill() throws {
        guard !isAtEnd, buffer.count - start < limit + margin else { return }
        buffer.removeSubrange(..<start)
        start = 0
        do {
            // Twice the limit, so that short documents do not move the buffer each time.
            while buffer.count < 2 * (limit + margin) {
                guard try source.read(1 << 18, into: &buffer) else {
                    isAtEnd = true
                    return
                }
            }
        } catch {
            isAtEnd = true
            buffer = []
            throw error
        }
    }

    private mutating func take(_ count: Int, dropping rest: Int, endsDocument: Bool) -> DocumentPiece {
        let text = Array(buffer[start..<(start + count)])
        let piece = DocumentPiece(text: text, place: .line(line), endsDocument: endsDocument)
        let newline = UInt8(ascii: "\n")
        line += text.count { $0 == newline } + separator.prefix(rest).count { $0 == newline }
        start += count + rest
        return piece
    }

    /// Where `pattern` begins in `bytes`, counted from their start; nil when it does not, or is empty.
    private func offset(of pattern: [UInt8], in bytes: ArraySlice<UInt8>) -> Int? {
        guard let first = pattern.first else { return nil }
        return bytes.withUnsafeBytes { text in
            guard let base = text.baseAddress else { return nil }
            var position = 0
            while position <= text.count - pattern.count,
                let found = memchr(base + position, Int32(first), text.count - pattern.count - position + 1)
            {
                let offset = UnsafeRawPointer(found) - base
                if memcmp(found, pattern, pattern.count) == 0 { return offset }
                position = offset + 1
            }
            return nil
        }
    }
}
