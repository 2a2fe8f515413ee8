import Models

/// Heads of a layer that were given softmax attention beside those that had been chosen, and how the student did with them.
public struct HeadTrial: Sendable, Equatable {
    /// What a model makes of the texts that heads are selected by.
    public struct Score: Sendable, Equatable {
        /// The negative log-likelihood of an answer, all its tokens, in nats: the mean over the questions.
        public var recall: Double
        /// The divergence of the text's next-token distributions from the teacher's, in nats per token; nil without text.
        public var divergence: Double?

        /// A score with these figures.
        public init(recall: Double, divergence: Double? = nil) { (self.recall, self.divergence) = (recall, divergence) }
    }

    /// The layer, from 0 on.
    public var layer: Int
    /// Nil for all heads of the layer that had no softmax attention yet.
    public var head: Int?
    /// The student's score with them.
    public var score: Score

    /// A trial of `head`, or of all of `layer`.
    public init(layer: Int, head: Int?, score: Score) { (self.layer, self.head, self.score) = (layer, head, score) }

    /// "18:2", or "18".
    public var name: String { kept?.description ?? "\(layer)" }
    /// Nil for the whole layer.
    package var kept: KeptHead? { head.map { KeptHead(layer: layer, head: $0) } }
}
