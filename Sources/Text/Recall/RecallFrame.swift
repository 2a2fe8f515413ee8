/// A sentence or a line with places for a key and its value, such as "{key}: {value}".
struct RecallFrame: Sendable {
    private let pattern: [Part]

    private enum Part { case text(String), key, value }

    /// - Parameter noun: what the values are, for {noun}.
    init(_ template: String, noun: String = "") {
        var (parts, rest) = ([Part](), template[...])
        while let open = rest.firstIndex(of: "{") {
            parts.append(.text(String(rest[..<open])))
            rest = rest[open...]
            if rest.hasPrefix("{key}") {
                parts.append(.key)
                rest = rest.dropFirst(5)
            } else if rest.hasPrefix("{value}") {
                parts.append(.value)
                rest = rest.dropFirst(7)
            } else if rest.hasPrefix("{noun}") {
                parts.append(.text(noun))
                rest = rest.dropFirst(6)
            } else {
                parts.append(.text("{"))
                rest = rest.dropFirst()
            }
        }
        pattern = parts + [.text(String(rest))]
    }

    /// The frame filled in.
    func text(key: String, value: String) -> String { Self.text(pattern[...], key, value) }

    /// What stands before the value, without the space at its end, which belongs to the value's first token.
    func cue(key: String) -> String {
        let before = pattern.prefix { if case .value = $0 { false } else { true } }
        let text = Self.text(before, key, "")
        return text.hasSuffix(" ") ? String(text.dropLast()) : text
    }

    private static func text(_ parts: ArraySlice<Part>, _ key: String, _ value: String) -> String {
        parts.reduce(into: "") { text, part in
            switch part {
            case .text(let some): text += some
            case .key: text += key
            case .value: text += value
            }
        }
    }
}
