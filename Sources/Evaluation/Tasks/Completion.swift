/// A text that a model is to continue, and what its continuation is to hold.
public struct Completion: Sendable, Equatable {
    /// The text to continue.
    public let prompt: String
    /// At least one.
    public let answers: [String]
    /// The most tokens that a model may generate.
    public let limit: Int

    /// A text with at least one answer.
    public init(prompt: String, answers: [String], limit: Int) {
        (self.prompt, self.answers, self.limit) = (prompt, answers, limit)
    }

    /// The share of the answers that stand anywhere in `text`, in capital or small letters: RULER's `string_match_all`.
    public func match(_ text: String) -> Double {
        let text = text.lowercased()
        return Double(answers.count { text.contains($0.lowercased()) }) / Double(answers.count)
    }
}

/// What a model made of a ``Completion``.
public struct GeneratedAnswer: Sendable, Equatable {
    /// What the model generated.
    public let text: String
    /// What it was to hold.
    public let answers: [String]
    /// See ``Completion/match(_:)``.
    public let match: Double
}
