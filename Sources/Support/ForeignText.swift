/// How text of others is shown: a model's names, a file's contents, what was generated. A terminal obeys control characters,
/// and a name may be a megabyte; so such text is shown with its control characters as JSON would write them (`\u001b`), and
/// cut where it has a place among other text.
///
/// Control characters are those of ASCII and Latin-1 (C0, DEL, C1), the marks that turn the direction of writing, the
/// separators of lines and paragraphs, and tags. Everything else, and a backslash too, is shown as it is, so that a file's
/// path can be copied.
package enum ForeignText {
    /// The most characters of a line.
    package static let lineLimit = 500
    /// The most characters of a name in a table.
    package static let nameLimit = 120

    /// `text` on one line of at most `limit` characters; of longer text the beginning and the end, about an ellipsis.
    package static func line(_ text: some StringProtocol, limit: Int = lineLimit) -> String {
        cut(text.unicodeScalars, limit: limit, keeping: [])
    }

    /// `text` with its line breaks and tabulators, each line of at most ``lineLimit`` characters.
    package static func lines(_ text: some StringProtocol) -> String {
        text.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false)
            .map { cut($0, limit: lineLimit, keeping: ["\t"]) }
            .joined(separator: "\n")
    }

    /// The whole of `text` with its line breaks and tabulators, for a terminal. Carriage returns, with which a line could be
    /// written over, are left out.
    package static func whole(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: { isControl($0) && $0 != "\n" && $0 != "\t" }) else { return text }
        let scalars = text.unicodeScalars.filter { $0 != "\r" }
        return pieces(scalars, limit: .max, keeping: ["\n", "\t"]).pieces.joined()
    }

    /// Two thirds of a text that is too long are its beginning: where it is, a message says what it is about.
    private static func cut(
        _ scalars: some BidirectionalCollection<Unicode.Scalar>, limit: Int, keeping kept: Set<Unicode.Scalar>
    ) -> String {
        let all = pieces(scalars, limit: limit, keeping: kept)
        if all.isWhole { return all.pieces.joined() }
        let head = pieces(scalars, limit: limit * 2 / 3, keeping: kept).pieces
        let tail = pieces(scalars.reversed(), limit: limit - limit * 2 / 3 - 1, keeping: kept).pieces
        return head.joined() + "…" + tail.reversed().joined()
    }

    /// What is shown for each of `scalars`, up to `limit` characters.
    private static func pieces(
        _ scalars: some Sequence<Unicode.Scalar>, limit: Int, keeping kept: Set<Unicode.Scalar>
    ) -> (pieces: [String], isWhole: Bool) {
        var (pieces, length) = ([String](), 0)
        for scalar in scalars {
            let piece = isControl(scalar) && !kept.contains(scalar) ? escape(scalar) : String(scalar)
            length += piece.unicodeScalars.count
            guard length <= limit else { return (pieces, false) }
            pieces.append(piece)
        }
        return (pieces, true)
    }

    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0...0x1F, 0x7F...0x9F, 0x61C, 0x200E, 0x200F, 0x2028...0x202E, 0x2066...0x2069, 0xFEFF, 0xFFF9...0xFFFB,
            0xE0000...0xE007F:
            true
        default: false
        }
    }

    /// As in a string of JSON.
    private static func escape(_ scalar: Unicode.Scalar) -> String {
        switch scalar {
        case "\n": "\\n"
        case "\r": "\\r"
        case "\t": "\\t"
        default:
            String(scalar).utf16.map { unit in
                let digits = String(unit, radix: 16)
                return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            }.joined()
        }
    }
}
