import Foundation

/// The byte-level BPE vocabulary in the metadata of a GGUF file (`tokenizer.ggml.*`).
public struct GGUFVocabulary: Sendable {
    /// `tokenizer.ggml.token_type` of control tokens.
    public static let controlType = 3
    /// `tokenizer.ggml.token_type` of tokens that the model's makers added.
    public static let userDefinedType = 4

    /// `tokenizer.ggml.model`; only "gpt2", byte-level BPE, is supported.
    public var model: String
    /// `tokenizer.ggml.pre`: smollm, gpt-2, llama-bpe or qwen2.
    public var preTokenizer: String
    /// The tokens, by id.
    public var tokens: [String]
    /// The type of each token; empty if the file has none.
    public var tokenTypes: [Int]
    /// The merges, each two tokens with a space between, in their order.
    public var merges: [String]
    public var bosToken: Int?
    public var eosToken: Int?
    public var unknownToken: Int?
    public var paddingToken: Int?
    /// Whether texts begin with the BOS token.
    public var addsBOS: Bool
    /// Whether texts end with the EOS token.
    public var addsEOS: Bool
    /// Whether texts are given a space in front.
    public var addsSpacePrefix: Bool
    public var chatTemplate: String?

    public init(
        model: String, preTokenizer: String, tokens: [String], tokenTypes: [Int] = [], merges: [String],
        bosToken: Int? = nil, eosToken: Int? = nil, unknownToken: Int? = nil, paddingToken: Int? = nil,
        addsBOS: Bool = false, addsEOS: Bool = false, addsSpacePrefix: Bool = false, chatTemplate: String? = nil
    ) {
        self.model = model
        self.preTokenizer = preTokenizer
        self.tokens = tokens
        self.tokenTypes = tokenTypes
        self.merges = merges
        self.bosToken = bosToken
        self.eosToken = eosToken
        self.unknownToken = unknownToken
        self.paddingToken = paddingToken
        self.addsBOS = addsBOS
        self.addsEOS = addsEOS
        self.addsSpacePrefix = addsSpacePrefix
        self.chatTemplate = chatTemplate
    }
}

extension Tokenizer {
    /// The tokenizer of a GGUF file, and with ``huggingFaceFiles`` the files that describe it to Hugging Face.
    ///
    /// - Throws: ``TokenizerError/unsupported(file:component:found:supported:)`` for another model or pre-tokeniser.
    public convenience init(_ vocabulary: GGUFVocabulary) throws {
        try self.init(files: vocabulary.huggingFaceFiles())
    }
}

extension GGUFVocabulary {
    /// tokenizer.json and tokenizer_config.json with this vocabulary.
    public func huggingFaceFiles() throws -> TokenizerFiles {
        guard model == "gpt2" else {
            throw TokenizerError.unsupported(
                file: "GGUF metadata", component: "tokenizer.ggml.model", found: model, supported: "gpt2")
        }
        let ids = Dictionary(tokens.enumerated().map { ($1, $0) }, uniquingKeysWith: { max($0, $1) })
        let addedTokens = zip(tokens.indices, tokenTypes).compactMap { id, type -> JSONValue? in
            guard type == Self.controlType || type == Self.userDefinedType, ids[tokens[id]] == id else { return nil }
            return [
                "id": .integer(id), "content": .string(tokens[id]), "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": .bool(type == Self.controlType),
            ]
        }
        let (normalizer, preTokenizer, ignoresMerges) = try components()
        let root: JSONValue = [
            "version": "1.0", "truncation": nil, "padding": nil, "added_tokens": .array(addedTokens),
            "normalizer": normalizer, "pre_tokenizer": preTokenizer, "post_processor": try postProcessor(),
            "decoder": Self.byteLevel(usesPattern: true, addsSpace: true),
            "model": [
                "type": "BPE", "dropout": nil, "unk_token": nil, "continuing_subword_prefix": nil,
                "end_of_word_suffix": nil, "fuse_unk": false, "byte_fallback": false,
                "ignore_merges": .bool(ignoresMerges),
                "vocab": .object(
                    JSONObject(
                        tokens.enumerated().compactMap { ids[$1] == $0 ? (key: $1, value: .integer($0)) : nil })),
                "merges": .array(merges.map { .string($0) }),
            ],
        ]
        return TokenizerFiles(tokenizer: Data(root.json.utf8), configuration: Data(try configuration().json.utf8))
    }

    private func components() throws -> (normalizer: JSONValue, preTokenizer: JSONValue, ignoresMerges: Bool) {
        let plain = Self.byteLevel(usesPattern: false, addsSpace: addsSpacePrefix)
        func split(_ pattern: WordPattern) -> JSONValue {
            let split: JSONValue = [
                "type": "Split", "pattern": ["Regex": .string(pattern.regularExpression)], "behavior": "Isolated",
                "invert": false,
            ]
            return ["type": "Sequence", "pretokenizers": [split, plain]]
        }
        switch preTokenizer {
        case "gpt-2": return (nil, Self.byteLevel(usesPattern: true, addsSpace: addsSpacePrefix), false)
        case "smollm":
            let digits: JSONValue = ["type": "Digits", "individual_digits": true]
            let words = Self.byteLevel(usesPattern: true, addsSpace: addsSpacePrefix)
            return (nil, ["type": "Sequence", "pretokenizers": [digits, words]], false)
        case "llama-bpe": return (nil, split(.tiktoken(maximumDigits: 3)), true)
        case "qwen2": return (["type": "NFC"], split(.tiktoken(maximumDigits: 1)), false)
        default:
            throw TokenizerError.unsupported(
                file: "GGUF metadata", component: "tokenizer.ggml.pre", found: preTokenizer,
                supported: "smollm, gpt-2, llama-bpe, qwen2")
        }
    }

    private static func byteLevel(usesPattern: Bool, addsSpace: Bool) -> JSONValue {
        [
            "type": "ByteLevel", "add_prefix_space": .bool(addsSpace), "trim_offsets": true,
            "use_regex": .bool(usesPattern),
        ]
    }

    private func postProcessor() throws -> JSONValue {
        let before = addsBOS ? try token(bosToken, "bos_token_id") : nil
        let after = addsEOS ? try token(eosToken, "eos_token_id") : nil
        guard before != nil || after != nil else { return nil }
        func piece(_ text: String, type: Int) -> JSONValue {
            ["SpecialToken": ["id": .string(text), "type_id": .integer(type)]]
        }
        func single(_ name: String, type: Int) -> [JSONValue] {
            [
                before.map { piece($0.text, type: type) },
                ["Sequence": ["id": .string(name), "type_id": .integer(type)]],
                after.map { piece($0.text, type: type) },
            ].compactMap(\.self)
        }
        var special = JSONObject()
        for case let token? in [before, after] {
            special[token.text] = [
                "id": .string(token.text), "ids": [.integer(token.id)], "tokens": [.string(token.text)],
            ]
        }
        return [
            "type": "TemplateProcessing", "single": .array(single("A", type: 0)),
            "pair": .array(single("A", type: 0) + single("B", type: 1)), "special_tokens": .object(special),
        ]
    }

    private func configuration() throws -> JSONValue {
        var root = JSONObject([("tokenizer_class", "PreTrainedTokenizerFast")])
        for (name, id) in [
            ("bos_token", bosToken), ("eos_token", eosToken), ("unk_token", unknownToken), ("pad_token", paddingToken),
        ] {
            if let token = try token(id, "\(name)_id") { root[name] = .string(token.text) }
        }
        root["clean_up_tokenization_spaces"] = false
        if addsBOS || addsEOS {
            root["add_bos_token"] = .bool(addsBOS)
            root["add_eos_token"] = .bool(addsEOS)
        }
        if let chatTemplate { root["chat_template"] = .string(chatTemplate) }
        return .object(root)
    }

    private func token(_ id: Int?, _ key: String) throws -> (id: Int, text: String)? {
        guard let id else { return nil }
        guard tokens.indices.contains(id) else {
            throw TokenizerError.invalidValue(
                file: "GGUF metadata", path: "tokenizer.ggml.\(key)",
                expected: "an id below the number of tokens, \(tokens.count)", found: "\(id)")
        }
        return (id, tokens[id])
    }
}
