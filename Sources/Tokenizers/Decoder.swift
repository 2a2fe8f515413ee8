/// How tokens become text again.
struct Decoder: Sendable {
    /// What a token contributes: bytes of text, or one byte of a character written in fallback tokens.
    enum Style: Sendable, Equatable {
        /// Tokens are written in the byte alphabet (``ByteAlphabet``).
        case byteLevel
        /// Tokens are text with `▁` for spaces. `<0xNN>` is a byte if `byteFallback` is set.
        case pieces(byteFallback: Bool)
    }

    var style: Style = .byteLevel
    /// Texts that are replaced inside every token.
    private(set) var replacements: [(pattern: [UInt8], content: [UInt8])] = []
    /// At the beginning of the first token, `▁` stands for nothing.
    private(set) var dropsFirstMarker = false
    /// What stands between the texts of two tokens: nothing, but for a tokenizer that has no decoder.
    private(set) var separator: [UInt8] = []
    /// A byte that is taken away at the beginning and at the end of the text, so often at most.
    private(set) var stripped: (byte: UInt8, start: Int, end: Int) = (0x20, 0, 0)

    private static let maximumReplacements = 16
    private static let supported =
        "ByteLevel, or a Sequence of Replace and Metaspace, ByteFallback, Fuse, Strip in this order"

    /// Without a decoder, tokens stand as the vocabulary writes them, with spaces between.
    init() {
        style = .pieces(byteFallback: false)
        separator = [0x20]
    }

    /// The `decoder` of a tokenizer.json.
    init(_ node: JSONNode) throws {
        // The stage of the sequence that has been reached; steps of an earlier stage cannot follow.
        var stage = 0
        var isByteLevel = false
        var byteFallback = false
        let nodes = try node.flattened("decoders")
        for node in nodes {
            let type = try node.required("type")
            func enter(_ next: Int) throws {
                guard next >= stage, !isByteLevel else {
                    throw type.unsupported("decoder in this place of a sequence", supported: Self.supported)
                }
                stage = next
            }
            switch try type.string() {
            case "ByteLevel":
                guard nodes.count == 1 else {
                    throw type.unsupported("decoder in a sequence", supported: Self.supported)
                }
                isByteLevel = true
            case "Metaspace":
                // Fallback bytes are no `▁`, so that it does not matter which of the two comes first.
                guard stage <= 2, !isByteLevel, replacements.isEmpty else {
                    throw type.unsupported("decoder in this place of a sequence", supported: Self.supported)
                }
                dropsFirstMarker = try Metaspace(node).prefix != .never
                replacements = [(Metaspace.marker, [0x20])]
            case "Replace":
                try enter(1)
                guard replacements.count < Self.maximumReplacements else {
                    throw node.expected("at most \(Self.maximumReplacements) Replace decoders")
                }
                guard let pattern = try node.required("pattern").optional("String") else {
                    throw type.unsupported("pattern of the decoder", supported: "Replace with a String")
                }
                guard try !pattern.string().isEmpty else { throw pattern.expected("text") }
                let content = try node.required("content").string()
                replacements.append((Array(try pattern.string().utf8), Array(content.utf8)))
            case "ByteFallback":
                try enter(2)
                byteFallback = true
            case "Fuse": try enter(3)
            case "Strip":
                guard stage == 3 else { throw type.unsupported("decoder before Fuse", supported: Self.supported) }
                stage = 4
                let content = try node.required("content")
                guard let byte = try content.string().utf8.first, content.value.text?.utf8.count == 1 else {
                    throw content.expected("one ASCII character")
                }
                stripped = (byte, try node.required("start").tokenID(), try node.required("stop").tokenID())
            default: throw type.unsupported("decoder", supported: Self.supported)
            }
        }
        style = isByteLevel ? .byteLevel : .pieces(byteFallback: byteFallback)
    }

    /// The bytes that a token stands for in text; nil when they are more than `limit`.
    func bytes(of token: String, limit: Int) -> [UInt8]? {
        switch style {
        case .byteLevel: return ByteAlphabet.decode(token) ?? Array(token.utf8)
        case .pieces:
            if let byte = fallbackByte(token) { return [byte] }
            return replacements.reduce(Optional(Array(token.utf8))) { text, replacement in
                text.flatMap {
                    ByteSearch.replacing(replacement.pattern, with: replacement.content, in: $0, limit: limit)
                }
            }
        }
    }

    /// The byte that a fallback token stands for; nil for every other token.
    func fallbackByte(_ token: String) -> UInt8? {
        guard style == .pieces(byteFallback: true), token.utf8.count == 6, token.hasPrefix("<0x"), token.hasSuffix(">")
        else { return nil }
        return UInt8(token.dropFirst(3).dropLast(), radix: 16)
    }
}
