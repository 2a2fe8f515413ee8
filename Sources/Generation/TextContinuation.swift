import Tokenizers

/// What came of continuing a text.
public struct TextContinuation: Sendable, Equatable {
    /// Why it ended.
    public enum End: String, Sendable {
        /// As many tokens as were asked for.
        case limit
        /// A token that ends texts.
        case stopToken
        /// A stop string, of which nothing was given out.
        case stopString
        /// The receiver of the text wanted no more.
        case stopped
    }

    /// Tokens picked, without a stop token.
    public var tokens: Int
    /// Why it ended.
    public var end: End

    /// A continuation of `tokens` tokens.
    public init(tokens: Int = 0, end: End = .limit) { (self.tokens, self.end) = (tokens, end) }
}

extension GenerationSession {
    /// Continues the sequence as text.
    /// - Parameters:
    ///   - limit: the most tokens to pick.
    ///   - stops: tokens that end the text and are not part of it.
    ///   - strings: strings and special tokens that end the text and are not part of it; tokens that hold one have been read when it is found.
    ///   - readsLast: reads the last token too, so that the session has seen all of the text and can be saved.
    ///   - emit: called with text that is certain, whole characters; false ends the continuation.
    public func continueText(
        limit: Int, sampler: inout Sampler, tokenizer: Tokenizer, stops: Set<Int32>, strings: StopStrings,
        readsLast: Bool = false, emit: (String) throws -> Bool
    ) throws -> TextContinuation {
        let stops = stops.union(strings.tokens(tokenizer))
        var result = TextContinuation()
        var text = GeneratedText(tokenizer, strings: strings)
        while result.tokens < limit {
            let token = try pick(&sampler)
            if stops.contains(token) {
                result.end = .stopToken
                break
            }
            result.tokens += 1
            let goesOn = try emit(text.push(token))
            if text.isStopped { result.end = .stopString } else if !goesOn { result.end = .stopped }
            if readsLast || result.end == .limit && result.tokens < limit { try read([token]) }
            if result.end != .limit { break }
        }
        let rest = text.finish()
        if text.isStopped { result.end = .stopString }
        _ = try emit(rest)
        return result
    }
}
