import Tokenizers

/// Examples of one task whose figures are given together.
public struct ExampleGroup {
    public let task: EvaluationTask
    /// Tokens of context; nil where the questions have what length they have.
    public let length: Int?
    /// Where the needle stands, per cent of the text before it.
    public let depth: Int?
    public let count: Int
    /// Made when they are needed: long contexts are not held all at once.
    private let passage: (Int) throws -> Passage
    /// A scorer gets prompts of at least this many tokens at once.
    private static let batchTokens = 8192

    init(
        task: EvaluationTask, length: Int? = nil, depth: Int? = nil, count: Int,
        passage: @escaping (Int) throws -> Passage
    ) {
        (self.task, self.length, self.depth, self.count) = (task, length, depth, count)
        self.passage = passage
    }

    /// Such as "needle 4096 at 50%".
    public var label: String {
        task.rawValue + (length.map { " \($0)" } ?? "") + (depth.map { " at \($0)%" } ?? "")
    }

    public struct Result: Sendable {
        public let metrics: [Metric]
        /// By example, of the choices of all its queries one after the other.
        public let scores: [[ContinuationScore]]
        public let examples: Int
        public let seconds: Double
    }

    /// Scores the examples.
    /// - Parameter progress: called with the examples done; throwing stops.
    /// - Throws: ``EvaluationError`` when an example cannot be made or a likelihood is not finite.
    public func evaluate(
        _ scorer: some ContinuationScorer, tokenizer: Tokenizer, progress: (Int) throws -> Void = { _ in }
    ) throws -> Result {
        let start = ContinuousClock.now
        var passages: [Passage] = []
        var scores: [[ContinuationScore]] = []
        var batch: [Prompt] = []
        func flush() throws {
            let done = scores.count
            scores += try scorer.scores(batch) { try progress(done) }
            batch = []
        }
        for index in 0..<count {
            let passage = try passage(index)
            guard let prompt = try passage.prompt(tokenizer) else {
                throw EvaluationError.noContext(group: label, example: index)
            }
            batch.append(prompt)
            if batch.reduce(0, { $0 + $1.packedTokens }) >= Self.batchTokens { try flush() }
            // Figures need the queries alone: long contexts are let go.
            passages.append(Passage(context: "", queries: passage.queries))
        }
        try flush()
        if let index = scores.firstIndex(where: { !$0.allSatisfy(\.logLikelihood.isFinite) }) {
            throw EvaluationError.nonFiniteScore(group: label, example: index)
        }
        try progress(count)
        return Result(
            metrics: task.scoring.metrics(passages, scores: scores), scores: scores, examples: count,
            seconds: start.duration(to: .now) / .seconds(1))
    }
}
