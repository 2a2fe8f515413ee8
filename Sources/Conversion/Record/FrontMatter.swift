import Checkpoints
import Foundation
import Support

/// The keys at the head of a model card: those whose value is one text, or the first of a list. What is more than that,
/// such as a folded text or an anchor, is passed over: it is other people's YAML, of which a few words are wanted.
struct FrontMatter {
    private var values: [String: String] = [:]

    /// - Parameter card: the text of a README.md.
    init(_ card: String) {
        let lines = card.split(omittingEmptySubsequences: false) { $0.isNewline }
        guard lines.first?.trimmingCharacters(in: .whitespaces) == "---",
            let end = lines.dropFirst().firstIndex(where: { $0.trimmingCharacters(in: .whitespaces) == "---" })
        else { return }
        for index in 1..<end {
            guard let colon = lines[index].firstIndex(of: ":"), lines[index].first?.isLetter == true else { continue }
            let key = String(lines[index][..<colon])
            var text = Self.trimmed(lines[index][lines[index].index(after: colon)...])
            if text.isEmpty, index + 1 < end {
                let next = Self.trimmed(lines[index + 1])
                guard next.hasPrefix("- ") else { continue }
                text = Self.trimmed(next.dropFirst(2))
            } else if text.hasPrefix("["), text.hasSuffix("]") {
                text = Self.trimmed(text.dropFirst().dropLast().prefix { $0 != "," })
            }
            values[key] = Self.scalar(text)
        }
    }

    subscript(key: String) -> String? { values[key] }

    private static func trimmed(_ text: some StringProtocol) -> String { text.trimmingCharacters(in: .whitespaces) }

    /// The text of a plain or a quoted scalar; nil for everything else.
    private static func scalar(_ text: String) -> String? {
        switch text.first {
        case "\"":
            guard let end = text.dropFirst().lastIndex(of: "\"") else { return nil }
            return try? JSONValue(parsing: Data(text[...end].utf8), file: "").stringValue
        case "'":
            guard let end = text.dropFirst().lastIndex(of: "'") else { return nil }
            return String(text[..<end].dropFirst()).replacing("''", with: "'")
        case nil, "|", ">", "&", "*", "!", "{", "[", "#", "%", "@", "`", "~": return nil
        default:
            let plain = trimmed(text.firstRange(of: " #").map { text[..<$0.lowerBound] } ?? text[...])
            return plain == "null" ? nil : plain
        }
    }
}
