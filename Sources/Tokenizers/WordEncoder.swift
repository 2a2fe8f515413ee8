/// What makes tokens of a word: the `model` of a tokenizer.json.
enum WordEncoder: Sendable {
    case bytePair(BytePairEncoder)
    case unigram(UnigramEncoder)

    private static let supported = "BPE, Unigram"

    /// The kind of a model that may not say it.
    private static func kind(_ model: JSONNode) throws -> String {
        if let type = model.optional("type") {
            let name = try type.string()
            guard name == "BPE" || name == "Unigram" else { throw type.unsupported("model", supported: supported) }
            return name
        }
        if model.optional("merges") != nil { return "BPE" }
        if model.optional("vocab")?.value.elements != nil { return "Unigram" }
        throw TokenizerError.unsupported(
            file: model.file, component: "model", found: "without merges (WordPiece or WordLevel)", supported: supported
        )
    }

    init(_ model: JSONNode, isByteLevel: Bool) throws {
        if try Self.kind(model) == "BPE" {
            self = .bytePair(try BytePairEncoder(model, isByteLevel: isByteLevel))
            return
        }
        guard !isByteLevel else {
            throw TokenizerError.unsupported(
                file: model.file, component: "model", found: "Unigram with a ByteLevel pre-tokenizer",
                supported: "BPE with it, Unigram without it")
        }
        self = .unigram(try UnigramEncoder(model))
    }

    /// The tokens of the model, by id.
    static func vocabulary(_ model: JSONNode) throws -> [[UInt8]?] {
        try kind(model) == "BPE" ? BytePairEncoder.vocabulary(model) : UnigramEncoder.vocabulary(model)
    }

    /// No token goes over the beginning of a run of `▁`.
    var separatesAtMarker: Bool {
        switch self {
        case .bytePair(let encoder): encoder.separatesAtMarker
        case .unigram(let encoder): encoder.separatesAtMarker
        }
    }

    /// No token goes over the beginning of a run of spaces, however the vocabulary writes them.
    var separatesAtSpaces: Bool {
        switch self {
        case .bytePair(let encoder): encoder.separatesAtSpaces
        case .unigram(let encoder): encoder.separatesAtMarker
        }
    }

    /// Appends the ids of `word` to `ids`.
    /// - Throws: ``TokenizerError/limit(file:component:reason:)`` for text that the model has no token for.
    func encode(_ word: UnsafeBufferPointer<UInt8>, into ids: inout [Int32], scratch: inout BytePairScratch) throws {
        switch self {
        case .bytePair(let encoder): encoder.encode(word, into: &ids, scratch: &scratch)
        case .unigram(let encoder): try encoder.encode(word, into: &ids)
        }
    }
}
