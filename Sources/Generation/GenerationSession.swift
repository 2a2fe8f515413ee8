import Models
import Tensors

/// One sequence being read and continued.
public final class GenerationSession {
    public let model: DecoderModel
    public let state: DecoderState
    /// Prompts are read in segments of this many tokens, so that memory does not depend on their length.
    public static let segment = 512
    /// Logits (vocabulary) of the token that follows; nil when nothing was read yet.
    private(set) var logits: Tensor?
    private(set) var recent = RecentTokens()
    /// A hash of all tokens read.
    public private(set) var digest = TokenDigest()

    public init(_ model: DecoderModel) throws {
        self.model = model
        state = try model.makeState()
    }

    /// Goes on where another session was.
    init(_ model: DecoderModel, state: DecoderState, logits: Tensor?, recent: RecentTokens, digest: TokenDigest) {
        self.model = model
        self.state = state
        (self.logits, self.recent, self.digest) = (logits, recent, digest)
    }

    /// An independent continuation of the same sequence.
    public func fork() -> GenerationSession {
        GenerationSession(model, state: state.copy(), logits: logits, recent: recent, digest: digest)
    }

    /// Reads `tokens` after what the session has seen.
    /// - Parameter progress: called with tokens read and in all; throwing stops between segments.
    public func read(_ tokens: [Int32], progress: (Int, Int) throws -> Void = { _, _ in }) throws {
        guard !tokens.isEmpty else { throw GenerationError.emptyPrompt }
        var position = 0
        while position < tokens.count {
            let end = min(position + Self.segment, tokens.count)
            logits = try model.nextLogits(Array(tokens[position..<end]), state: state)
            recent.append(tokens[position..<end])
            digest.append(tokens[position..<end])
            position = end
            try progress(position, tokens.count)
        }
    }

    /// Picks the token that follows, without reading it.
    /// - Throws: ``GenerationError/emptyPrompt`` when nothing was read yet.
    public func pick(_ sampler: inout Sampler) throws -> Int32 {
        guard let logits else { throw GenerationError.emptyPrompt }
        return try sampler.sample(logits, after: recent.last(sampler.options.repetitionWindow))
    }

    /// Continues the sequence by up to `limit` tokens, or until one of `stops` is picked.
    /// - Parameter emit: called with every token as it is picked, but not with a stop; throwing ends the continuation.
    /// - Returns: the number of tokens emitted.
    @discardableResult
    public func generate(
        limit: Int, sampler: inout Sampler, stops: Set<Int32>, emit: (Int32) throws -> Void
    ) throws -> Int {
        var count = 0
        while count < limit {
            let token = try pick(&sampler)
            if stops.contains(token) { break }
            try emit(token)
            count += 1
            if count < limit { try read([token]) }
        }
        return count
    }
}
