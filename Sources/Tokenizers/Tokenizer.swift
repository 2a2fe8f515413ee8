import Foundation
import Synchronization

/// Turns text into token ids and back, with the ids that Hugging Face `tokenizers` gives.
///
/// Byte-level BPE (GPT-2, Llama 3, Qwen2, SmolLM2), SentencePiece-style BPE with byte fallback (Llama 2, Mistral) and the
/// unigram model (T5).
/// Values are immutable and may be used from several threads at once.
public final class Tokenizer: Sendable {
    /// The files that this tokenizer was read from, or the ones that describe it if it came from elsewhere.
    public let huggingFaceFiles: TokenizerFiles
    /// The id of the token that begins a text.
    public let bosToken: Int32?
    /// The id of the token that ends a text.
    public let eosToken: Int32?
    /// The id of the token that stands for unknown text.
    public let unknownToken: Int32?
    /// Texts of tokens by the names that chat templates know them by, such as "sep_token".
    let templateTokens: [String: String]
    /// The id of the token that fills up a batch.
    public let paddingToken: Int32?
    /// The Jinja template that turns the messages of a conversation into text.
    public let chatTemplate: String?

    let normalizers: [Normalizer]
    let preTokenizer: PreTokenizer
    let encoder: any WordEncoder
    /// Words are encoded in pieces, cut before every run of `▁`: no token goes over such a place.
    let separatesAtMarker: Bool
    let postProcessor: PostProcessor
    let decoder: Decoder
    /// The tokens as the vocabulary writes them.
    let vocabulary: TokenTable
    /// The bytes that the tokens stand for.
    let decodedTokens: TokenTable
    /// Which tokens are one byte of a character (`<0xE2>`).
    let isFallbackByte: [Bool]
    let isSpecial: [Bool]
    /// Looks for added tokens in the original text, and in normalised text.
    let matchers: (original: AddedTokenMatcher, normalized: AddedTokenMatcher)
    /// Caches that no encoding uses at the moment.
    let caches = Mutex<[WordCache]>([])

    /// - Throws: ``TokenizerError/limit(file:component:reason:)``.
    init(parts: TokenizerParts, files: TokenizerFiles) throws {
        huggingFaceFiles = files
        bosToken = parts.bosToken
        eosToken = parts.eosToken
        unknownToken = parts.unknownToken
        templateTokens = parts.templateTokens
        paddingToken = parts.paddingToken
        chatTemplate = parts.chatTemplate
        normalizers = parts.normalizers
        preTokenizer = parts.preTokenizer
        encoder = parts.encoder
        separatesAtMarker = parts.encoder.separatesAtMarker
        postProcessor = parts.postProcessor
        decoder = parts.decoder
        vocabulary = parts.vocabulary
        var texts = (0..<parts.vocabulary.count).map { id in
            parts.vocabulary[id].map { String(decoding: $0, as: UTF8.self) }
        }
        let normalized = try parts.addedTokens.filter(\.isNormalized).map { token in
            var text = Array(token.content.utf8)
            try Normalizer.apply(parts.normalizers, to: &text, limit: 16 * AddedToken.maximumLength)
            return (token, text)
        }
        for (token, text) in normalized { texts[Int(token.id)] = String(decoding: text, as: UTF8.self) }
        var limit = Normalizer.limit(texts.reduce(0) { $0 + ($1?.utf8.count ?? 0) })
        decodedTokens = TokenTable(
            try texts.map { text in
                guard let text else { return nil }
                guard let bytes = parts.decoder.bytes(of: text, limit: limit) else {
                    throw TokenizerError.limit(
                        file: "tokenizer.json", component: "decoder",
                        reason: "the tokens grow to more than 16 times their length")
                }
                limit -= bytes.count
                return bytes
            })
        isFallbackByte = texts.map { $0.flatMap(parts.decoder.fallbackByte) != nil }
        var isSpecial = [Bool](repeating: false, count: texts.count)
        for token in parts.addedTokens where token.isSpecial { isSpecial[Int(token.id)] = true }
        self.isSpecial = isSpecial
        matchers = (
            AddedTokenMatcher(parts.addedTokens.filter { !$0.isNormalized }.map { ($0, Array($0.content.utf8)) }),
            AddedTokenMatcher(normalized)
        )
    }

    /// One more than the largest token id.
    public var vocabularySize: Int { vocabulary.count }

    /// The token with this id as the vocabulary writes it; nil if there is none.
    public func token(for id: Int32) -> String? {
        vocabulary[Int(id)].map { String(decoding: $0, as: UTF8.self) }
    }

    /// The id of a token written as in the vocabulary; nil if there is none.
    public func id(for token: String) -> Int32? {
        vocabulary.id(of: token)
    }

    /// Whether a token is a control token rather than text.
    public func isSpecialToken(_ id: Int32) -> Bool {
        isSpecial.indices.contains(Int(id)) && isSpecial[Int(id)]
    }
}
