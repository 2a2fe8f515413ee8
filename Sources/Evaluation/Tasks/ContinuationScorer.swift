/// What scores continuations: a model, on whatever device it runs.
public protocol ContinuationScorer {
    /// Scores the continuations of each prompt, independently of one another.
    /// - Parameter progress: called now and then; throwing stops.
    func scores(_ prompts: [Prompt], progress: () throws -> Void) throws -> [[ContinuationScore]]
}

/// Tokens, and several ways to go on after them.
public struct Prompt: Sendable, Equatable {
    /// At least one token.
    public let context: [Int32]
    /// The ways to go on, each behind the context alone.
    public let continuations: [Continuation]

    /// A context of at least one token.
    public init(context: [Int32], continuations: [Continuation]) {
        (self.context, self.continuations) = (context, continuations)
    }

    /// A way to go on.
    public struct Continuation: Sendable, Equatable {
        /// Token ids; at least as many as are scored.
        public let tokens: [Int32]
        /// How many of the last tokens are scored; those before are a question's.
        public let scored: Int

        /// Tokens of which the last `scored` are scored.
        public init(tokens: [Int32], scored: Int) { (self.tokens, self.scored) = (tokens, scored) }
    }

    /// Tokens of all continuations, each behind the context.
    var packedTokens: Int { continuations.reduce(0) { $0 + context.count + $1.tokens.count } }
}

/// How likely the scored tokens of a continuation are.
public struct ContinuationScore: Sendable, Equatable {
    /// Sum over the tokens, nats.
    public let logLikelihood: Double
    /// Whether greedy decoding gives exactly these tokens.
    public let isGreedy: Bool

    /// A score; the likelihood in nats.
    public init(logLikelihood: Double, isGreedy: Bool) {
        (self.logLikelihood, self.isGreedy) = (logLikelihood, isGreedy)
    }
}
