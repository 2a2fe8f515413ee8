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
        /// What the text was to be is complete.
        case complete
        /// The receiver of the text wanted no more.
        case stopped
    }

    /// Tokens picked, without a stop token.
    public var tokens: Int
    /// Why it ended.
    public var end: End
    /// Seconds that it took to find the tokens that might follow, of each token; none without a constraint.
    public var maskSeconds: [Double] = []

    /// A continuation of `tokens` tokens.
    public init(tokens: Int = 0, end: End = .limit) { (self.tokens, self.end) = (tokens, end) }
}

extension GenerationSession {
    /// Continues the sequence as text.
    /// - Parameters:
    ///   - limit: the most tokens to pick.
    ///   - stops: tokens that end the text and are not part of it.
    ///   - strings: strings and special tokens that end the text and are not part of it; tokens that hold one have been read when it is found.
    ///   - constraint: what the text is to be; `stops` are picked only where it is complete.
    ///   - readsLast: reads the last token too, so that the session has seen all of the text and can be saved.
    ///   - emit: called with text that is certain, whole characters; false ends the continuation.
    public func continueText(
        limit: Int, sampler: inout Sampler, tokenizer: Tokenizer, stops: Set<Int32>, strings: StopStrings,
        constraint: TokenConstraint? = nil, readsLast: Bool = false, emit: (String) throws -> Bool
    ) throws -> TextContinuation {
        let stops = stops.union(strings.tokens(tokenizer))
        var result = TextContinuation()
        var text = GeneratedText(tokenizer, strings: strings)
        var form = try constraint?.start()
        while result.tokens < limit {
            let start = ContinuousClock.now
            let mask = try form?.mask(stops: stops)
            if form != nil { result.maskSeconds.append(start.duration(to: .now) / .seconds(1)) }
            let token = try pick(&sampler, among: mask)
            if stops.contains(token) {
                result.end = .stopToken
                break
            }
            result.tokens += 1
            try form?.advance(token)
            let goesOn = try emit(text.push(token))
            if text.isStopped { result.end = .stopString } else if !goesOn { result.end = .stopped }
            if result.end == .limit, form?.isFinished == true { result.end = .complete }
            if readsLast || result.end == .limit && result.tokens < limit { try read([token]) }
            if result.end != .limit { break }
        }
        let rest = text.finish()
        if text.isStopped { result.end = .stopString }
        _ = try emit(rest)
        return result
    }
}
