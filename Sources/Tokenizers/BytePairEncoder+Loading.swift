extension BytePairEncoder {
    /// The tokens of the `model` of a tokenizer.json, by id.
    static func vocabulary(_ model: JSONNode) throws -> [[UInt8]?] {
        let node = try model.required("vocab")
        var tokens: [[UInt8]?] = []
        for (text, value) in try node.members().pairs {
            let id = try JSONNode(file: node.file, path: "model.vocab[\(text)]", value: value).tokenID()
            if id >= tokens.count { tokens.append(contentsOf: repeatElement(nil, count: id + 1 - tokens.count)) }
            tokens[id] = Array(text.utf8)
        }
        return tokens
    }

    /// The `model` of a tokenizer.json.
    init(_ model: JSONNode, isByteLevel: Bool) throws {
        for key in ["continuing_subword_prefix", "end_of_word_suffix"] {
            if let affix = model.optional(key), try !affix.string().isEmpty {
                throw affix.unsupported("model with a \(key)", supported: "none")
            }
        }
        if let dropout = model.optional("dropout") {
            guard dropout.value.double == 0 else {
                throw dropout.unsupported("model with a dropout", supported: "none")
            }
        }
        let texts = try Self.vocabulary(model)
        let vocabulary = TokenTable(texts)
        let byteFallback = try model.flag("byte_fallback", default: false)
        if isByteLevel {
            alphabet = .bytes
            tokens = TokenTable(texts.map { $0.flatMap { ByteAlphabet.decode(String(decoding: $0, as: UTF8.self)) } })
            byteIDs = ByteAlphabet.characters.map { vocabulary.id(of: String(Character($0))) ?? -1 }
            // Where every byte has its token, there is nothing to fall back from.
            guard !byteFallback || byteIDs.allSatisfy({ $0 >= 0 }) else {
                throw model.unsupported(
                    "byte_fallback with a ByteLevel pre-tokenizer in",
                    supported: "one of them, or a vocabulary with all bytes")
            }
        } else {
            alphabet = .characters(
                byteFallback: byteFallback, fusesUnknown: try model.flag("fuse_unk", default: false))
            tokens = vocabulary
            byteIDs = Self.fallbackIDs(vocabulary)
        }
        ignoresMerges = try model.flag("ignore_merges", default: false)
        if let unknown = model.optional("unk_token") {
            unknownID = vocabulary.id(of: try unknown.string())
            unknownIsMissing = unknownID == nil
        } else {
            unknownID = nil
            unknownIsMissing = false
        }
        let space = isByteLevel ? Array("Ġ".utf8) : Metaspace.marker
        (merges, separatesAtSpaces) = try Self.merges(model, vocabulary, space, mayCut: !ignoresMerges)
        separatesAtMarker = !isByteLevel && separatesAtSpaces
    }

    /// The ids of the tokens that stand for one byte of a character without a token, -1 where there is none.
    static func fallbackIDs(_ vocabulary: TokenTable) -> [Int32] {
        (0..<256).map { byte in
            let digits = String(byte, radix: 16, uppercase: true)
            return vocabulary.id(of: byte < 16 ? "<0x0\(digits)>" : "<0x\(digits)>") ?? -1
        }
    }

    /// The table of merges, and whether none of them crosses the beginning of a run of spaces, written as `space`.
    private static func merges(
        _ model: JSONNode, _ vocabulary: TokenTable, _ space: [UInt8], mayCut: Bool
    ) throws -> (MergeTable, Bool) {
        let node = try model.required("merges")
        let list = try node.elements()
        var table = MergeTable(capacity: list.count)
        var separates = mayCut && space.withUnsafeBufferPointer(vocabulary.id(of:)) != nil
        // The first line of a file of merges, which lists that were taken from one still have.
        let isHeader = { (merge: JSONNode) in merge.value.text?.hasPrefix("#version") == true }
        for (rank, merge) in list.enumerated() where !isHeader(merge) {
            let (left, right) = try pair(merge)
            let ids = [left, right, left + right].map { text in text.withUnsafeBufferPointer(vocabulary.id(of:)) }
            guard let leftID = ids[0], let rightID = ids[1], let id = ids[2] else {
                throw merge.expected("a merge of two tokens of the vocabulary into a third")
            }
            table.insert(leftID, rightID, .init(rank: UInt32(truncatingIfNeeded: rank), id: id))
            if separates, right.starts(with: space), !left.suffix(space.count).elementsEqual(space) {
                separates = false
            }
        }
        return (table, separates)
    }

    /// The two tokens of a merge, written as "left right" or as ["left", "right"].
    private static func pair(_ merge: JSONNode) throws -> ([UInt8], [UInt8]) {
        if let parts = merge.value.elements {
            guard parts.count == 2, let left = parts[0].text, let right = parts[1].text else {
                throw merge.expected("two tokens")
            }
            return (Array(left.utf8), Array(right.utf8))
        }
        let parts = try merge.string().utf8.split(separator: 0x20, omittingEmptySubsequences: false)
        guard parts.count == 2 else { throw merge.expected("two tokens with a space between") }
        return (Array(parts[0]), Array(parts[1]))
    }
}
