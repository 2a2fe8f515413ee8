import Foundation

/// A step that changes text before it is split into words.
enum Normalizer: Sendable {
    /// Unicode normalisation form C.
    case canonicalComposition
    /// Puts text in front of a piece that is not empty.
    case prepend([UInt8])
    /// Replaces every occurrence of a text, which is not empty.
    case replace([UInt8], with: [UInt8])

    private static let maximumSteps = 16
    private static let supported = "Sequence, NFC, Prepend, Replace with a String pattern"

    /// The steps of the `normalizer` of a tokenizer.json.
    static func steps(_ node: JSONNode) throws -> [Normalizer] {
        let nodes = try node.flattened("normalizers")
        guard nodes.count <= maximumSteps else { throw node.expected("at most \(maximumSteps) normalizers") }
        return try nodes.map { node in
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

    /// The most bytes that the normalizers together may make of texts of `count` bytes. Those of models make 3 of one.
    static func limit(_ count: Int) -> Int { 16 * count + (1 << 16) }

    /// Applies all of `normalizers`, but for those that only put something before it where a text `continues` another.
    /// - Throws: ``TokenizerError/limit(file:component:reason:)``, which names the step that makes too much.
    static func apply(
        _ normalizers: [Normalizer], to text: inout [UInt8], limit: Int, continues: Bool = false
    ) throws {
        for (index, normalizer) in normalizers.enumerated() where !(continues && normalizer.isPrefix) {
            guard normalizer.apply(to: &text, limit: limit) else {
                throw TokenizerError.limit(
                    file: "tokenizer.json", component: "normalizer \(index + 1), \(normalizer.name)",
                    reason: "a text grows to more than 16 times its length")
            }
        }
    }

    /// Whether the step only puts something before the text.
    var isPrefix: Bool { if case .prepend = self { true } else { false } }

    /// What the step is called in tokenizer.json.
    var name: String {
        switch self {
        case .canonicalComposition: "NFC"
        case .prepend: "Prepend"
        case .replace: "Replace"
        }
    }

    /// Changes a text, unless that would give it more than `limit` bytes; false then.
    func apply(to text: inout [UInt8], limit: Int) -> Bool {
        switch self {
        case .canonicalComposition: Self.compose(&text)
        case .prepend(let prefix):
            guard !text.isEmpty else { return true }
            guard prefix.count <= limit - text.count else { return false }
            text.insert(contentsOf: prefix, at: 0)
        case .replace(let pattern, let content):
            guard let replaced = ByteSearch.replacing(pattern, with: content, in: text, limit: limit) else {
                return false
            }
            text = replaced
        }
        return text.count <= limit
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
