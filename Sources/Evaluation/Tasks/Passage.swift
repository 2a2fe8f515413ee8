/// A text, and what is asked after it.
public struct Passage: Sendable, Equatable {
    /// What the model reads before every question.
    public let context: String
    /// At least one; each follows the context alone, and not the other queries.
    public let queries: [Query]

    /// A text with at least one question.
    public init(context: String, queries: [Query]) { (self.context, self.queries) = (context, queries) }

    /// A question, and texts that may follow it.
    public struct Query: Sendable, Equatable {
        /// Follows the context; empty when the context ends with the question.
        public let question: String
        /// Each as it follows the question, the space before it included.
        public let choices: [String]
        /// Index of the right choice.
        public let gold: Int

        /// A question to which choice `gold` is right.
        public init(question: String = "", choices: [String], gold: Int) {
            (self.question, self.choices, self.gold) = (question, choices, gold)
        }
    }
}
