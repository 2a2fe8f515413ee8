/// The special tokens that are put around an encoded text.
struct PostProcessor: Sendable {
    var prefix: [Int32] = []
    var suffix: [Int32] = []

    /// The most components, and the most pieces of a template; models have 2 and 3.
    private static let maximumPieces = 64

    init() {}

    init(prefix: [Int32], suffix: [Int32]) {
        self.prefix = prefix
        self.suffix = suffix
    }

    /// The `post_processor` of a tokenizer.json, as far as it concerns a single text.
    init(_ node: JSONNode) throws {
        let nodes = try node.flattened("processors")
        guard nodes.count <= Self.maximumPieces else {
            throw node.expected("at most \(Self.maximumPieces) post-processors")
        }
        for node in nodes {
            let type = try node.required("type")
            switch try type.string() {
            case "ByteLevel": continue
            case "TemplateProcessing":
                let (before, after) = try Self.template(node)
                prefix = before + prefix
                suffix += after
            case "BertProcessing", "RobertaProcessing":
                prefix.insert(try Self.token(try node.required("cls")), at: 0)
                suffix.append(try Self.token(try node.required("sep")))
            default:
                throw type.unsupported(
                    "post-processor",
                    supported: "Sequence, ByteLevel, TemplateProcessing, BertProcessing, RobertaProcessing")
            }
        }
    }

    /// The id of a token given as its text and its id.
    private static func token(_ node: JSONNode) throws -> Int32 {
        let parts = try node.elements()
        guard parts.count == 2 else { throw node.expected("a token and its id") }
        return Int32(try parts[1].tokenID())
    }

    private static func template(_ node: JSONNode) throws -> ([Int32], [Int32]) {
        var before: [Int32] = []
        var after: [Int32] = []
        var seenText = false
        let pieces = try node.required("single")
        guard try pieces.elements().count <= maximumPieces else {
            throw pieces.expected("at most \(maximumPieces) pieces")
        }
        for piece in try pieces.elements() {
            if piece.optional("Sequence") != nil {
                guard !seenText else { throw piece.expected("one text in the template") }
                seenText = true
                continue
            }
            let name = try piece.required("SpecialToken").required("id")
            guard let token = try node.required("special_tokens").optional(try name.string()) else {
                throw name.expected("a name listed in special_tokens")
            }
            let ids = try token.required("ids").elements().map { Int32(try $0.tokenID()) }
            if seenText { after += ids } else { before += ids }
        }
        guard seenText else { throw node.expected("a template with a text in it") }
        return (before, after)
    }
}
