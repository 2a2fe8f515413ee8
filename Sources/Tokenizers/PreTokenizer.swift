/// The steps that split text into the words that byte-pair encoding works on.
struct PreTokenizer: Sendable {
    enum Step: Sendable {
        /// A known pattern.
        case words(WordPattern)
        /// Numbers apart from everything else, each digit on its own or together.
        case digits(individual: Bool)
        /// Anything else that is found in text.
        case split(TextSplit)
        /// A space before every piece that does not begin with one.
        case spacePrefix
        /// Spaces written as `▁`.
        case metaspace(Metaspace)
        /// Every byte written as a character of ``ByteAlphabet``, which the steps behind this one see.
        case byteAlphabet
    }

    var steps: [Step] = []
    /// The words are encoded byte by byte.
    var isByteLevel = false

    private static let maximumSteps = 16
    private static let supported =
        "Sequence, ByteLevel, Split, Digits, Metaspace, Punctuation, Whitespace, WhitespaceSplit, BertPreTokenizer, "
        + "CharDelimiterSplit, FixedLength"

    init() {}

    /// The `pre_tokenizer` of a tokenizer.json.
    init(_ node: JSONNode) throws {
        let nodes = try node.flattened("pretokenizers")
        guard nodes.count <= Self.maximumSteps else {
            throw node.expected("at most \(Self.maximumSteps) pre-tokenizers")
        }
        for node in nodes {
            let type = try node.required("type")
            if isByteLevel, !steps.contains(where: { if case .byteAlphabet = $0 { true } else { false } }) {
                steps.append(.byteAlphabet)
            }
            switch try type.string() {
            case "ByteLevel" where isByteLevel, "Metaspace" where isByteLevel:
                throw type.unsupported("pre-tokenizer after ByteLevel", supported: "what only splits")
            case "ByteLevel":
                isByteLevel = true
                if try node.flag("add_prefix_space", default: true) { steps.append(.spacePrefix) }
                if try node.flag("use_regex", default: true) { steps.append(.words(.gpt2)) }
            case "Digits":
                steps.append(.digits(individual: try node.flag("individual_digits", default: false)))
            case "Split": steps.append(try Self.split(node))
            case "Metaspace": steps.append(.metaspace(try Metaspace(node)))
            case "Punctuation":
                steps.append(
                    .split(.init(pattern: .characters(.punctuation), behavior: try Self.behavior(node) ?? .isolated)))
            case "Whitespace":
                steps.append(.split(.init(pattern: .wordsAndSymbols, behavior: .removed, isInverted: true)))
            case "WhitespaceSplit": steps.append(Self.whiteSpace)
            case "BertPreTokenizer":
                steps += [Self.whiteSpace, .split(.init(pattern: .characters(.punctuation), behavior: .isolated))]
            case "CharDelimiterSplit":
                let delimiter = try node.required("delimiter").string()
                guard delimiter.unicodeScalars.count == 1 else { throw node.expected("a delimiter of one character") }
                steps.append(.split(.init(pattern: .literal(Array(delimiter.utf8)), behavior: .removed)))
            case "FixedLength":
                let length = try node.optional("length")?.tokenID() ?? 5
                guard length > 0 else { throw node.expected("a length above 0") }
                steps.append(.split(.init(pattern: .length(length), behavior: .isolated)))
            default: throw type.unsupported("pre-tokenizer", supported: Self.supported)
            }
        }
    }

    private static let whiteSpace = Step.split(.init(pattern: .characters(.space), behavior: .removed))

    private static func behavior(_ node: JSONNode) throws -> SplitBehavior? {
        try node.optional("behavior").map { try SplitBehavior($0) }
    }

    private static func split(_ node: JSONNode) throws -> Step {
        let pattern = try node.required("pattern")
        let behavior = try SplitBehavior(try node.required("behavior"))
        let isInverted = try node.flag("invert", default: false)
        if let literal = pattern.optional("String") {
            let text = try literal.string()
            guard !text.isEmpty else { throw literal.expected("text") }
            return .split(.init(pattern: .literal(Array(text.utf8)), behavior: behavior, isInverted: isInverted))
        }
        let expression = try pattern.required("Regex")
        // A scanner's matches cover the whole text, so that there is nothing to remove or to join.
        if behavior == .isolated || behavior == .removed && isInverted,
            let words = WordPattern(regularExpression: try expression.string())
        {
            return .words(words)
        }
        return .split(
            .init(
                pattern: .regularExpression(try RegularExpressionSplit(expression)), behavior: behavior,
                isInverted: isInverted))
    }
}

/// SentencePiece's way of keeping spaces: as `▁` (U+2581), at the beginning of a word.
struct Metaspace: Sendable {
    enum Prefix: String, Sendable {
        case always, first, never
    }

    /// The UTF-8 form of `▁`.
    static let marker: [UInt8] = [0xE2, 0x96, 0x81]

    let prefix: Prefix
    let splits: Bool

    init(_ node: JSONNode) throws {
        if let replacement = node.optional("replacement"), try replacement.string() != "\u{2581}" {
            throw replacement.unsupported("Metaspace with the replacement", supported: "▁")
        }
        let scheme = node.optional("prepend_scheme")
        guard let prefix = Prefix(rawValue: try scheme?.string() ?? "always") else {
            throw (scheme ?? node).unsupported("Metaspace with the prepend_scheme", supported: "always, first, never")
        }
        self.prefix = try node.flag("add_prefix_space", default: true) ? prefix : .never
        splits = try node.flag("split", default: true)
    }
}
