import Foundation

/// A step that changes text before it is split into words.
enum Normalizer: Sendable {
    case unicode(UnicodeForm)
    case lowercase
    /// Takes white space away at the beginning and at the end of a piece.
    case strip(left: Bool, right: Bool)
    /// Takes combining marks away.
    case stripAccents
    /// Puts text in front of a piece that is not empty.
    case prepend([UInt8])
    /// Replaces every occurrence of a text, which is not empty.
    case replace([UInt8], with: [UInt8])
    /// Replaces every match of a regular expression.
    case replaceMatches(RegularExpressionSplit, with: [UInt8])
    /// SentencePiece's table of replacements.
    case precompiled(CharacterMap)

    private static let maximumSteps = 16
    private static let supported =
        "Sequence, NFC, NFD, NFKC, NFKD, Lowercase, Strip, StripAccents, Prepend, Replace, Precompiled"

    /// The steps of the `normalizer` of a tokenizer.json.
    static func steps(_ node: JSONNode) throws -> [Normalizer] {
        let nodes = try node.flattened("normalizers")
        guard nodes.count <= maximumSteps else { throw node.expected("at most \(maximumSteps) normalizers") }
        return try nodes.map { node in
            let type = try node.required("type")
            let name = try type.string()
            if let form = UnicodeForm(rawValue: name) { return .unicode(form) }
            switch name {
            case "Lowercase": return .lowercase
            case "Strip":
                return .strip(
                    left: try node.flag("strip_left", default: true), right: try node.flag("strip_right", default: true)
                )
            case "StripAccents": return .stripAccents
            case "Prepend": return .prepend(Array(try node.required("prepend").string().utf8))
            case "Replace": return try replacement(node)
            case "Precompiled": return .precompiled(try CharacterMap(node))
            default: throw type.unsupported("normalizer", supported: supported)
            }
        }
    }

    private static func replacement(_ node: JSONNode) throws -> Normalizer {
        let pattern = try node.required("pattern")
        let content = Array(try node.required("content").string().utf8)
        guard let literal = pattern.optional("String") else {
            return .replaceMatches(try RegularExpressionSplit(try pattern.required("Regex")), with: content)
        }
        let text = try literal.string()
        guard !text.isEmpty else { throw literal.expected("text") }
        return .replace(Array(text.utf8), with: content)
    }

    /// The most bytes that the normalizers together may make of texts of `count` bytes. Those of models make 3 of one, and
    /// NFKD at most 33 of 3.
    static func limit(_ count: Int) -> Int { 16 * count + (1 << 16) }

    /// Applies all of `normalizers`, but for those that only put something before it where a text `continues` another.
    /// - Throws: ``TokenizerError/limit(file:component:reason:)``, which names the step that makes too much.
    static func apply(
        _ normalizers: [Normalizer], to text: inout [UInt8], limit: Int, continues: Bool = false
    ) throws {
        for (index, normalizer) in normalizers.enumerated() where !(continues && normalizer.isPrefix) {
            guard try normalizer.apply(to: &text, limit: limit) else {
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
        case .unicode(let form): form.rawValue
        case .lowercase: "Lowercase"
        case .strip: "Strip"
        case .stripAccents: "StripAccents"
        case .prepend: "Prepend"
        case .replace, .replaceMatches: "Replace"
        case .precompiled: "Precompiled"
        }
    }

    /// Changes a text, unless that would give it more than `limit` bytes; false then.
    private func apply(to text: inout [UInt8], limit: Int) throws -> Bool {
        switch self {
        case .unicode(let form): form.apply(to: &text)
        case .lowercase: Self.lowercase(&text)
        case .strip(let left, let right): Self.strip(&text, left: left, right: right)
        case .stripAccents:
            let kept = String(decoding: text, as: UTF8.self).unicodeScalars.filter { !Self.isMark($0) }
            text = Array(String(String.UnicodeScalarView(kept)).utf8)
        case .prepend(let prefix):
            guard !text.isEmpty else { return true }
            guard prefix.count <= limit - text.count else { return false }
            text.insert(contentsOf: prefix, at: 0)
        case .replace(let pattern, let content):
            guard let replaced = ByteSearch.replacing(pattern, with: content, in: text, limit: limit) else {
                return false
            }
            text = replaced
        case .replaceMatches(let expression, let content):
            var result: [UInt8] = [], start = 0
            for stretch in try expression.stretches(of: String(decoding: text, as: UTF8.self)) {
                if stretch.isMatch {
                    result += content
                } else {
                    result += text[start..<start + stretch.length]
                }
                start += stretch.length
                guard result.count <= limit else { return false }
            }
            text = result
        case .precompiled(let map):
            guard let mapped = map.apply(to: text, limit: limit) else { return false }
            text = mapped
        }
        return text.count <= limit
    }

    /// Whether a character is a combining mark in Unicode 9, which is what `tokenizers` goes by.
    private static func isMark(_ scalar: Unicode.Scalar) -> Bool {
        let properties = scalar.properties
        return switch properties.generalCategory {
        case .nonspacingMark, .spacingMark, .enclosingMark:
            scalar != "\u{111C9}" && properties.age.map { $0.major <= 9 } ?? false
        default: scalar == "\u{1CF2}" || scalar == "\u{1CF3}"
        }
    }

    /// Every character by itself, wherever it stands.
    private static func lowercase(_ text: inout [UInt8]) {
        var result: [UInt8] = []
        result.reserveCapacity(text.count)
        for scalar in String(decoding: text, as: UTF8.self).unicodeScalars {
            if scalar.isASCII {
                let byte = UInt8(truncatingIfNeeded: scalar.value)
                result.append(UInt8(ascii: "A")...UInt8(ascii: "Z") ~= byte ? byte | 0x20 : byte)
            } else {
                result += scalar.properties.lowercaseMapping.utf8
            }
        }
        text = result
    }

    private static func strip(_ text: inout [UInt8], left: Bool, right: Bool) {
        text = text.withUnsafeBufferPointer { bytes in
            let source = UTF8Text(bytes: bytes)
            let start = left ? source.endOfRun(from: 0, limit: bytes.count) { $0.contains(.space) } : 0
            var end = bytes.count
            while right, end > start {
                let last = source.start(before: end)
                guard source.characterClass(at: last).value.contains(.space) else { break }
                end = last
            }
            return Array(bytes[start..<end])
        }
    }
}
