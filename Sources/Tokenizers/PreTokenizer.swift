import Foundation

/// The steps that split text into the words that byte-pair encoding works on.
struct PreTokenizer: Sendable {
    enum Step: Sendable {
        /// A known pattern.
        case words(WordPattern)
        /// Numbers apart from everything else, each digit on its own or together.
        case digits(individual: Bool)
        /// Any other regular expression.
        case regularExpression(RegularExpressionSplit)
        /// A space before every piece that does not begin with one.
        case spacePrefix
        /// Spaces written as `▁`.
        case metaspace(Metaspace)
    }

    var steps: [Step] = []
    /// The words are encoded byte by byte.
    var isByteLevel = false

    private static let maximumSteps = 16
    private static let supported = "Sequence, ByteLevel, Split, Digits, Metaspace"

    init() {}

    /// The `pre_tokenizer` of a tokenizer.json.
    init(_ node: JSONNode) throws {
        let nodes = try node.flattened("pretokenizers")
        guard nodes.count <= Self.maximumSteps else {
            throw node.expected("at most \(Self.maximumSteps) pre-tokenizers")
        }
        for node in nodes {
            let type = try node.required("type")
            guard !isByteLevel else { throw type.unsupported("pre-tokenizer after ByteLevel", supported: "none") }
            switch try type.string() {
            case "ByteLevel":
                isByteLevel = true
                if try node.flag("add_prefix_space", default: true) { steps.append(.spacePrefix) }
                if try node.flag("use_regex", default: true) { steps.append(.words(.gpt2)) }
            case "Digits":
                steps.append(.digits(individual: try node.flag("individual_digits", default: false)))
            case "Split": steps.append(try Self.split(node))
            case "Metaspace": steps.append(.metaspace(try Metaspace(node)))
            default: throw type.unsupported("pre-tokenizer", supported: Self.supported)
            }
        }
    }

    private static func split(_ node: JSONNode) throws -> Step {
        let behavior = try node.required("behavior")
        let removesGaps: Bool
        switch (try behavior.string(), try node.flag("invert", default: false)) {
        case ("Isolated", _): removesGaps = false
        case ("Removed", true): removesGaps = true
        default:
            throw behavior.unsupported("pre-tokenizer Split with the behavior", supported: "Isolated, inverted Removed")
        }
        let pattern = try node.required("pattern")
        if let literal = pattern.optional("String") {
            let expression = NSRegularExpression.escapedPattern(for: try literal.string())
            return .regularExpression(try RegularExpressionSplit(expression, removesGaps: removesGaps, literal))
        }
        let expression = try pattern.required("Regex")
        if let words = WordPattern(regularExpression: try expression.string()) { return .words(words) }
        return .regularExpression(
            try RegularExpressionSplit(try expression.string(), removesGaps: removesGaps, expression))
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
            throw node.expected("a prepend_scheme: always, first or never")
        }
        self.prefix = try node.flag("add_prefix_space", default: true) ? prefix : .never
        splits = try node.flag("split", default: true)
    }
}
