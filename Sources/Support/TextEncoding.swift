/// What text begins with that is not part of it, and encodings that are not read.
package enum TextEncoding {
    /// The mark of UTF-8, which editors on Windows put before a text.
    private static let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
    /// Bytes of a text that ``foreign(_:)`` looks at.
    package static let headLength = 64

    /// `text` without the mark of UTF-8.
    package static func unmarked<Text: Collection<UInt8>>(_ text: Text) -> Text.SubSequence {
        text.starts(with: mark) ? text.dropFirst(mark.count) : text[...]
    }

    /// The encoding other than UTF-8 in which a text begins, and how it is converted; nil when there is none.
    package static func foreign(_ text: some Collection<UInt8>) -> String? {
        let head = Array(text.prefix(headLength))
        func named(_ name: String) -> String { "\(name); convert it with: iconv -f \(name) -t UTF-8" }
        if head.starts(with: [0xFF, 0xFE, 0, 0]) || head.starts(with: [0, 0, 0xFE, 0xFF]) { return named("UTF-32") }
        if head.starts(with: [0xFF, 0xFE]) || head.starts(with: [0xFE, 0xFF]) { return named("UTF-16") }
        // Without a mark: every other byte of text in Latin letters is 0.
        guard head.count >= 4 else { return nil }
        let pairs = stride(from: 0, to: head.count - 1, by: 2)
        if pairs.allSatisfy({ head[$0] != 0 && head[$0 + 1] == 0 }) { return named("UTF-16LE") }
        if pairs.allSatisfy({ head[$0] == 0 && head[$0 + 1] != 0 }) { return named("UTF-16BE") }
        return nil
    }

    /// `text` with line ends as Unix has them, as Python reads text.
    package static func unixLines(_ text: String) -> String {
        guard text.utf8.contains(0x0D) else { return text }
        var (bytes, previous) = ([UInt8](), UInt8(0))
        bytes.reserveCapacity(text.utf8.count)
        for byte in text.utf8 {
            if byte == 0x0A, previous == 0x0D { bytes.removeLast() }
            bytes.append(byte)
            previous = byte
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
