/// The kinds of `model` in a tokenizer.json.
enum TokenizerModel: String {
    case bytePair = "BPE"
    case unigram = "Unigram"

    private static let supported = "BPE, Unigram"

    /// The kind of a model, which may not say it.
    private init(_ model: JSONNode) throws {
        if let type = model.optional("type") {
            guard let kind = Self(rawValue: try type.string()) else {
                throw type.unsupported("model", supported: Self.supported)
            }
            self = kind
        } else if model.optional("merges") != nil {
            self = .bytePair
        } else if model.optional("vocab")?.value.elements != nil {
            self = .unigram
        } else {
            throw TokenizerError.unsupported(
                file: model.file, component: "model", found: "without merges (WordPiece or WordLevel)",
                supported: Self.supported)
        }
    }

    /// The tokens of a model, by id.
    static func vocabulary(_ model: JSONNode) throws -> [[UInt8]?] {
        switch try Self(model) {
        case .bytePair: try BytePairEncoder.vocabulary(model)
        case .unigram: try UnigramEncoder.vocabulary(model)
        }
    }

    static func encoder(_ model: JSONNode, isByteLevel: Bool) throws -> any WordEncoder {
        switch try Self(model) {
        case .bytePair: return try BytePairEncoder(model, isByteLevel: isByteLevel)
        case .unigram:
            guard !isByteLevel else {
                throw TokenizerError.unsupported(
                    file: model.file, component: "model", found: "Unigram with a ByteLevel pre-tokenizer",
                    supported: "BPE with it, Unigram without it")
            }
            return try UnigramEncoder(model)
        }
    }
}
