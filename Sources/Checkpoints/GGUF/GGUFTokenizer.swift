/// A GGUF file's tokenizer, as its metadata gives it.
public struct GGUFTokenizer: Sendable, Equatable {
    /// `tokenizer.ggml.model`: "gpt2" for byte-level BPE, "llama" for SentencePiece.
    public let model: String
    /// `tokenizer.ggml.pre`: the pre-tokeniser, such as "smollm" or "llama-bpe".
    public let pre: String?
    /// The tokens, by id.
    public let tokens: [String]
    /// 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte. Empty or one per token.
    public let tokenTypes: [Int]
    /// Pairs of tokens joined by a space, by falling priority.
    public let merges: [String]
    /// Empty or one per token.
    public let scores: [Float]
    /// The id of the token that begins texts; nil for none.
    public let bosToken: Int?
    /// The id of the token that ends texts; nil for none.
    public let eosToken: Int?
    /// The id of the token of what has no other; nil for none.
    public let unknownToken: Int?
    /// The id of the token that fills up batches; nil for none.
    public let padToken: Int?
    /// Whether texts begin with the BOS token; nil where the file does not say.
    public let addBOS: Bool?
    /// Whether texts end with the EOS token; nil where the file does not say.
    public let addEOS: Bool?
    /// Whether texts are given a space in front; nil where the file does not say.
    public let addSpacePrefix: Bool?
    /// The Jinja template of conversations; nil for none.
    public let chatTemplate: String?

    /// - Throws: ``CheckpointError/configuration(file:key:expected:found:)`` when a key is missing, or of the wrong type,
    ///   length or range.
    public init(_ metadata: GGUFMetadata) throws {
        let prefix = "tokenizer.ggml."
        func wrong(_ key: String, _ expected: String, _ found: String) -> CheckpointError {
            .configuration(file: metadata.file, key: prefix + key, expected: expected, found: found)
        }
        guard let model = try metadata.string(prefix + "model") else { throw wrong("model", "a string", "none") }
        guard let tokens = try metadata.strings(prefix + "tokens"), !tokens.isEmpty else {
            throw wrong("tokens", "an array of strings", "none")
        }
        self.model = model
        self.tokens = tokens
        pre = try metadata.string(prefix + "pre")
        merges = try metadata.strings(prefix + "merges") ?? []
        tokenTypes = try metadata.integers(prefix + "token_type") ?? []
        scores = try metadata.numbers(prefix + "scores")?.map { Float($0) } ?? []
        for (key, count) in [("token_type", tokenTypes.count), ("scores", scores.count)] {
            guard count == 0 || count == tokens.count else {
                throw wrong(key, "\(tokens.count) values, one per token", "\(count)")
            }
        }
        func token(_ key: String) throws -> Int? {
            guard let id = try metadata.integer(prefix + key) else { return nil }
            guard tokens.indices.contains(id) else { throw wrong(key, "a token below \(tokens.count)", "\(id)") }
            return id
        }
        bosToken = try token("bos_token_id")
        eosToken = try token("eos_token_id")
        unknownToken = try token("unknown_token_id")
        padToken = try token("padding_token_id")
        addBOS = try metadata.bool(prefix + "add_bos_token")
        addEOS = try metadata.bool(prefix + "add_eos_token")
        addSpacePrefix = try metadata.bool(prefix + "add_space_prefix")
        chatTemplate = try metadata.string("tokenizer.chat_template")
    }
}
