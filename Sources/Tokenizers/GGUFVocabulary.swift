import Foundation

/// The vocabulary in the metadata of a GGUF file (`tokenizer.ggml.*`).
public struct GGUFVocabulary: Sendable {
    /// A token's `tokenizer.ggml.token_type`.
    public enum TokenType: Int, Sendable {
        case normal = 1, unknown, control, userDefined, unused, byte
    }

    /// What errors call the source of this vocabulary.
    public var file = "GGUF metadata"
    /// `general.architecture`, which says of some tokens how they are found; nil for none.
    public var architecture: String?
    /// `tokenizer.ggml.model`: "gpt2", byte-level BPE; "llama", SentencePiece's BPE; "gemma4", BPE over characters.
    public var model: String
    /// `tokenizer.ggml.pre`: how byte-level vocabularies split text into words; "default", as GPT-2, where it is missing.
    public var preTokenizer: String
    /// The tokens, by id.
    public var tokens: [String]
    /// The type of each token; empty if the file has none.
    public var tokenTypes: [Int]
    /// The merges, each two tokens with a space between, in their order.
    public var merges: [String]
    /// SentencePiece's score of each token, by which neighbours are merged; empty if the file has none.
    public var scores: [Float]
    /// The id of the token that begins texts; nil for none.
    public var bosToken: Int?
    /// The id of the token that ends texts; nil for none.
    public var eosToken: Int?
    /// The id of the token of what has no other; nil for none.
    public var unknownToken: Int?
    /// The id of the token that fills up batches; nil for none.
    public var paddingToken: Int?
    /// Whether texts begin with the BOS token; where the file does not say, as llama.cpp has it for this kind.
    public var addsBOS: Bool?
    /// Whether texts end with the EOS token; where the file does not say, they do not.
    public var addsEOS: Bool?
    /// Whether texts are given a space in front; where the file does not say, SentencePiece's are.
    public var addsSpacePrefix: Bool?
    /// The Jinja template of conversations; nil for none.
    public var chatTemplate: String?

    /// A vocabulary of these parts, which are checked when a tokenizer is made of it.
    public init(
        model: String, preTokenizer: String = "default", tokens: [String], tokenTypes: [Int] = [],
        merges: [String] = [], scores: [Float] = [], bosToken: Int? = nil, eosToken: Int? = nil,
        unknownToken: Int? = nil, paddingToken: Int? = nil, addsBOS: Bool? = nil, addsEOS: Bool? = nil,
        addsSpacePrefix: Bool? = nil, chatTemplate: String? = nil
    ) {
        self.model = model
        self.preTokenizer = preTokenizer
        self.tokens = tokens
        self.tokenTypes = tokenTypes
        self.merges = merges
        self.scores = scores
        self.bosToken = bosToken
        self.eosToken = eosToken
        self.unknownToken = unknownToken
        self.paddingToken = paddingToken
        self.addsBOS = addsBOS
        self.addsEOS = addsEOS
        self.addsSpacePrefix = addsSpacePrefix
        self.chatTemplate = chatTemplate
    }

    /// What a token is; ordinary text where the file does not say.
    func type(of id: Int) -> TokenType {
        guard tokenTypes.indices.contains(id) else { return .normal }
        // Type 0 is "undefined", which stands for nothing, like a token that is not used.
        return TokenType(rawValue: tokenTypes[id]) ?? .unused
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
