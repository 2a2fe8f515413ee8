import Foundation
import Support

/// What the files of a tokenizer say, checked.
struct TokenizerParts {
    var normalizers: [Normalizer] = []
    var preTokenizer = PreTokenizer()
    var encoder: any WordEncoder
    var postProcessor = PostProcessor()
    var decoder: Decoder
    var vocabulary: TokenTable
    var addedTokens: [AddedToken] = []
    var bosToken: Int32?
    var eosToken: Int32?
    var unknownToken: Int32?
    /// Texts of tokens by the names that chat templates know them by.
    var templateTokens: [String: String] = [:]
    /// SPECIAL_TOKENS_ATTRIBUTES of transformers, which gives these to chat templates.
    private static let templateNames: Set<String> = [
        "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token",
    ]
    var paddingToken: Int32?
    var chatTemplate: String?

    init(_ files: TokenizerFiles) throws {
        let root = try Self.root(files.tokenizer, "tokenizer.json")
        let model = try root.required("model")
        var texts = try TokenizerModel.vocabulary(model)
        let configuration = try files.configuration.map { try Self.root($0, "tokenizer_config.json") }
        var tokens = try AddedTokenList(root, of: texts)
        try tokens.add(configuration, files)
        addedTokens = tokens.tokens
        for token in addedTokens {
            let id = Int(token.id)
            if id >= texts.count { texts.append(contentsOf: repeatElement(nil, count: id + 1 - texts.count)) }
            texts[id] = Array(token.content.utf8)
        }
        vocabulary = TokenTable(texts)
        if let node = root.optional("normalizer") { normalizers = try Normalizer.steps(node) }
        if let node = root.optional("pre_tokenizer") { preTokenizer = try PreTokenizer(node) }
        if let node = root.optional("post_processor") { postProcessor = try PostProcessor(node) }
        decoder = try root.optional("decoder").map { try Decoder($0) } ?? Decoder()
        encoder = try TokenizerModel.encoder(model, isByteLevel: preTokenizer.isByteLevel)
        try configure(files, configuration, tokens)
        for id in postProcessor.prefix + postProcessor.suffix where vocabulary[Int(id)] == nil {
            throw TokenizerError.invalidValue(
                file: root.file, path: "post_processor",
                expected: "ids of the vocabulary of \(vocabulary.count) tokens",
                found: "\(id)")
        }
    }

    private static func root(_ data: Data, _ file: String) throws -> JSONNode {
        JSONNode(file: file, path: "", value: try JSONValue(parsing: data, of: file))
    }

    /// Takes over what tokenizer_config.json and chat_template.jinja say.
    private mutating func configure(
        _ files: TokenizerFiles, _ configuration: JSONNode?, _ tokens: AddedTokenList
    ) throws {
        if let template = files.chatTemplate {
            let found = TextEncoding.foreign(template)
            guard found == nil, let text = String(validating: TextEncoding.unmarked(template), as: UTF8.self) else {
                throw TokenizerError.invalidValue(
                    file: "chat_template.jinja", path: "the file", expected: "UTF-8", found: found ?? "other bytes")
            }
            chatTemplate = text
        }
        func token(_ name: String) -> Int32? { tokens.names[name].flatMap(vocabulary.id(of:)) }
        bosToken = token("bos_token")
        eosToken = token("eos_token")
        unknownToken = token("unk_token")
        templateTokens = tokens.names.filter { Self.templateNames.contains($0.key) }
        paddingToken = token("pad_token")
        guard let root = configuration else { return }
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

    /// The template itself, or the one named "default" of several.
    private static func defaultTemplate(_ node: JSONNode) throws -> String? {
        guard node.value.elements != nil else { return try node.string() }
        return try node.elements().first { try $0.required("name").string() == "default" }?.required("template")
            .string()
    }
}
