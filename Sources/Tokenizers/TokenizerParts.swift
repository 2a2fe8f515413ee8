import Foundation

/// What the files of a tokenizer say, checked.
struct TokenizerParts {
    var normalizers: [Normalizer] = []
    var preTokenizer = PreTokenizer()
    var encoder: BytePairEncoder
    var postProcessor = PostProcessor()
    var decoder: Decoder
    var vocabulary: TokenTable
    var addedTokens: [AddedToken] = []
    var bosToken: Int32?
    var eosToken: Int32?
    var unknownToken: Int32?
    var paddingToken: Int32?
    var chatTemplate: String?

    init(_ files: TokenizerFiles) throws {
        let file = "tokenizer.json"
        let root = JSONNode(file: file, path: "", value: try JSONParser.parse(files.tokenizer, file: file))
        let model = try root.required("model")
        addedTokens = try root.optional("added_tokens")?.elements().map { try AddedToken($0) } ?? []
        let addedBytes = addedTokens.reduce(0) { $0 + $1.content.utf8.count }
        guard addedBytes <= AddedToken.maximumTotal else {
            throw TokenizerError.invalidValue(
                file: file, path: "added_tokens", expected: "at most \(AddedToken.maximumTotal) bytes of text",
                found: "\(addedBytes)")
        }
        let texts = try Self.vocabulary(model, addedTokens, root)
        vocabulary = TokenTable(texts)
        if let node = root.optional("normalizer") { normalizers = try Normalizer.steps(node) }
        if let node = root.optional("pre_tokenizer") { preTokenizer = try PreTokenizer(node) }
        if let node = root.optional("post_processor") { postProcessor = try PostProcessor(node) }
        decoder = try Decoder(try root.required("decoder"))
        encoder = try BytePairEncoder(model, isByteLevel: preTokenizer.isByteLevel)
        try configure(files)
        for id in postProcessor.prefix + postProcessor.suffix where vocabulary[Int(id)] == nil {
            throw TokenizerError.invalidValue(
                file: file, path: "post_processor", expected: "ids of the vocabulary of \(vocabulary.count) tokens",
                found: "\(id)")
        }
    }

    /// The tokens of the model and the added ones, by id.
    private static func vocabulary(_ model: JSONNode, _ added: [AddedToken], _ root: JSONNode) throws -> [[UInt8]?] {
        var texts = try BytePairEncoder.vocabulary(model)
        for token in added {
            let id = Int(token.id)
            if id >= texts.count { texts.append(contentsOf: repeatElement(nil, count: id + 1 - texts.count)) }
            if let present = texts[id], !present.elementsEqual(token.content.utf8) {
                throw TokenizerError.invalidValue(
                    file: root.file, path: "added_tokens", expected: "an id of its own for \(token.content)",
                    found: "\(id), which is \(String(decoding: present, as: UTF8.self))")
            }
            texts[id] = Array(token.content.utf8)
        }
        return texts
    }

    /// Takes over what tokenizer_config.json and chat_template.jinja say.
    private mutating func configure(_ files: TokenizerFiles) throws {
        if let template = files.chatTemplate {
            guard let text = String(validating: template, as: UTF8.self) else {
                throw TokenizerError.invalidValue(
                    file: "chat_template.jinja", path: "the file", expected: "UTF-8", found: "other bytes")
            }
            chatTemplate = text
        }
        guard let data = files.configuration else { return }
        let file = "tokenizer_config.json"
        let root = JSONNode(file: file, path: "", value: try JSONParser.parse(data, file: file))
        bosToken = try token(root, "bos_token")
        eosToken = try token(root, "eos_token")
        unknownToken = try token(root, "unk_token")
        paddingToken = try token(root, "pad_token")
        if chatTemplate == nil, let template = root.optional("chat_template") {
            chatTemplate = try Self.defaultTemplate(template)
        }
        let addsBOS = try root.optional("add_bos_token")?.bool()
        let addsEOS = try root.optional("add_eos_token")?.bool()
        // As transformers does: saying either replaces the post-processor of tokenizer.json.
        if addsBOS != nil || addsEOS != nil {
            postProcessor = PostProcessor(
                prefix: addsBOS == true ? [bosToken].compactMap(\.self) : [],
                suffix: addsEOS == true ? [eosToken].compactMap(\.self) : [])
        }
    }

    /// A token that is given by its text, or as an object with its `content`.
    private func token(_ root: JSONNode, _ key: String) throws -> Int32? {
        guard let node = root.optional(key) else { return nil }
        let text = try (node.optional("content") ?? node).string()
        return vocabulary.id(of: text)
    }

    /// The template itself, or the one named "default" of several.
    private static func defaultTemplate(_ node: JSONNode) throws -> String? {
        guard node.value.elements != nil else { return try node.string() }
        return try node.elements().first { try $0.required("name").string() == "default" }?.required("template")
            .string()
    }
}
