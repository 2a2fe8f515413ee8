import Tokenizers

/// Examples of one task whose figures are given together.
public struct ExampleGroup {
    /// The task that they are of.
    public let task: EvaluationTask
    /// Tokens of context; nil where the questions have what length they have.
    public let length: Int?
    /// Where the needle stands, per cent of the text before it.
    public let depth: Int?
    /// Examples of the group.
    public let count: Int
    let examples: Examples
    /// A scorer gets prompts of at least this many tokens at once.
    private static let batchTokens = 8192

    /// Made by index when they are needed: long contexts are not held all at once.
    enum Examples {
        case passages((Int) throws -> Passage)
        case completions((Int) throws -> Completion)
    }

    init(task: EvaluationTask, length: Int? = nil, depth: Int? = nil, count: Int, examples: Examples) {
        (self.task, self.length, self.depth, self.count) = (task, length, depth, count)
        self.examples = examples
    }

    /// Such as "needle 4096 at 50%".
    public var label: String {
        task.rawValue + (length.map { " \($0)" } ?? "") + (depth.map { " at \($0)%" } ?? "")
    }

    /// How a model answers.
    public var method: EvaluationMethod {
        if case .completions = examples { .generation } else { .likelihood }
    }

    /// What a model made of the examples.
    public struct Result: Sendable {
        /// The group's figures.
        public let metrics: [Metric]
        /// By example, of the choices of all its queries one after the other; none of what was generated.
        public let scores: [[ContinuationScore]]
        /// By example; none of what was answered by likelihood.
        public let answers: [GeneratedAnswer]
        /// Examples that were answered.
        public let examples: Int
        /// Seconds that answering took.
        public let seconds: Double
    }

    /// Has `model` answer the examples.
    /// - Parameter progress: called with the examples done; throwing stops.
    /// - Throws: ``EvaluationError`` when an example cannot be made or a likelihood is not finite.
    public func evaluate(
        _ model: some ContinuationScorer & TextContinuer, tokenizer: Tokenizer,
        progress: (Int) throws -> Void = { _ in }
    ) throws -> Result {
        let start = ContinuousClock.now
        var (scores, answers) = ([[ContinuationScore]](), [GeneratedAnswer]())
        let metrics: [Metric]
        switch examples {
        case .passages(let passage):
            (metrics, scores) = try score(passage, model, tokenizer: tokenizer, progress: progress)
        case .completions(let completion):
            answers = try generate(completion, model, tokenizer: tokenizer, progress: progress)
            metrics = [Metric("string_match_all", meanOf: answers.map(\.match))]
        }
        try progress(count)
        return Result(
            metrics: metrics, scores: scores, answers: answers, examples: count,
            seconds: start.duration(to: .now) / .seconds(1))
    }

    private func score(
        _ passage: (Int) throws -> Passage, _ scorer: some ContinuationScorer, tokenizer: Tokenizer,
        progress: (Int) throws -> Void
    ) throws -> ([Metric], [[ContinuationScore]]) {
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
        return (task.scoring.metrics(passages, scores: scores), scores)
    }

    private func generate(
        _ completion: (Int) throws -> Completion, _ continuer: some TextContinuer, tokenizer: Tokenizer,
        progress: (Int) throws -> Void
    ) throws -> [GeneratedAnswer] {
        try (0..<count).map { index in
            let completion = try completion(index)
            let prompt = try tokenizer.encode(beginning: completion.prompt)
            guard prompt.count > tokenizer.textPrefix.count else {
                throw EvaluationError.noContext(group: label, example: index)
            }
            // Once all answers are there, the figure is decided.
            let text = try continuer.continuation(
                of: prompt, limit: completion.limit, tokenizer: tokenizer, until: { completion.match($0) == 1 }
            ) { try progress(index) }
            return GeneratedAnswer(text: text, answers: completion.answers, match: completion.match(text))
        }
    }
}
