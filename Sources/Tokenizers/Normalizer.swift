import Foundation

/// A step that changes text before it is split into words.
enum Normalizer: Sendable {
    /// Unicode normalisation form C.
    case canonicalComposition
    /// Puts text in front of a piece that is not empty.
    case prepend([UInt8])
    /// Replaces every occurrence of a text, which is not empty.
    case replace([UInt8], with: [UInt8])

    private static let supported = "Sequence, NFC, Prepend, Replace with a String pattern"

    /// The steps of the `normalizer` of a tokenizer.json.
    static func steps(_ node: JSONNode) throws -> [Normalizer] {
        try node.flattened("normalizers").map { node in
            let type = try node.required("type")
            switch try type.string() {
            case "NFC": return .canonicalComposition
            case "Prepend": return .prepend(Array(try node.required("prepend").string().utf8))
            case "Replace":
                guard let pattern = try node.required("pattern").optional("String") else {
                    throw node.unsupported("normalizer Replace with the pattern", supported: "a String")
                }
                let text = try pattern.string()
                guard !text.isEmpty else { throw pattern.expected("text") }
                return .replace(Array(text.utf8), with: Array(try node.required("content").string().utf8))
            default: throw type.unsupported("normalizer", supported: supported)
            }
        }
    }

    /// Whether the step only puts something before the text.
    var isPrefix: Bool { if case .prepend = self { true } else { false } }

    func apply(to text: inout [UInt8]) {
        switch self {
        case .canonicalComposition: Self.compose(&text)
        case .prepend(let prefix): if !text.isEmpty { text.insert(contentsOf: prefix, at: 0) }
        case .replace(let pattern, let content): text = Self.replacing(pattern, with: content, in: text)
        }
    }

    static func replacing(_ pattern: [UInt8], with content: [UInt8], in text: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(text.count + text.count / 4)
        var copied = 0
        var position = 0
        while position + pattern.count <= text.count {
            guard text[position] == pattern[0], text[position...].starts(with: pattern) else {
                position += 1
                continue
            }
            result.append(contentsOf: text[copied..<position])
            result.append(contentsOf: content)
            position += pattern.count
            copied = position
        }
        result.append(contentsOf: text[copied...])
        return result
    }

    /// Composes only the stretches that can change: from the character before one that composes to the next one that
    /// does not.
    private static func compose(_ text: inout [UInt8]) {
        var result: [UInt8] = []
        let changed = text.withUnsafeBufferPointer { bytes -> Bool in
            let source = UTF8Text(bytes: bytes)
            var copied = 0
            var position = 0
            while position < bytes.count {
                if source[position] < 0x80 {
                    position += 1
                    continue
                }
                let (value, end) = source.characterClass(at: position)
                guard value.contains(.composing) else {
                    position = end
                    continue
                }
                let start = position > copied ? source.start(before: position) : position
                position = source.endOfRun(from: end, limit: bytes.count) { $0.contains(.composing) }
                result.append(contentsOf: bytes[copied..<start])
                let stretch = String(decoding: bytes[start..<position], as: UTF8.self)
                // Decomposed first because composing alone leaves a Hangul syllable apart from a final consonant.
                let composed = stretch.decomposedStringWithCanonicalMapping.precomposedStringWithCanonicalMapping
                result.append(contentsOf: composed.utf8)
                copied = position
            }
            guard copied > 0 else { return false }
            result.append(contentsOf: bytes[copied...])
            return true
        }
        if changed { text = result }
    }
}
