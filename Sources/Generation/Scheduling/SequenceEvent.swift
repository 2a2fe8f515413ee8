/// What becomes of a ``SequenceRequest``.
public enum SequenceEvent: Sendable, Equatable {
    /// So many tokens of a long prompt were read.
    case reading(tokens: Int, of: Int)
    /// The prompt was read; comes once, before all tokens.
    case read(PromptReading)
    /// The next token of a continuation, and the text that is certain with it, which may be empty.
    case token(choice: Int, TokenLikelihood?, text: String, id: Int32)
    /// A continuation has ended, with the text that was held back until then.
    case finished(choice: Int, Ending, text: String)

    /// How a continuation ended.
    public struct Ending: Sendable, Equatable {
        /// Why it ended.
        public enum Reason: String, Sendable {
            /// As many tokens as were asked for.
            case limit
            /// A token that ends texts.
            case stopToken
            /// A stop string.
            case stopString
            /// What it was to be is complete, and nothing may follow.
            case complete
            /// The time for the request is up.
            case deadline
            /// Logits that are not finite.
            case nonFinite
        }

        /// Why it ended.
        public var reason: Reason
        /// The stop token that ended it, where likelihoods were asked for.
        public var stop: TokenLikelihood?
    }

    /// How a prompt was read.
    public struct PromptReading: Sendable, Equatable {
        /// Tokens of the prompt that a stored state had read.
        public var cached: Int
        /// The likelihood of every token but the first, where it was asked for.
        public var likelihoods: [TokenLikelihood]
        /// Seconds until reading began, and that it took.
        public var seconds: (queued: Double, reading: Double)

        public static func == (left: Self, right: Self) -> Bool {
            left.cached == right.cached && left.likelihoods == right.likelihoods && left.seconds == right.seconds
        }
    }
}
