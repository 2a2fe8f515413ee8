import Models
import Tensors

extension DecoderModel: ContinuationScorer {
    /// Tokens that are run at once: of packed prompts, and of a long context that is read in segments.
    static let scoringTokens = 1024
    private static let segment = 512

    /// Short prompts are packed as documents of one sequence. Of others the context is read once, in segments, so that
    /// memory does not depend on its length but through the state, and the continuations go on from forks of it.
    public func scores(_ prompts: [Prompt], progress: () throws -> Void) throws -> [[ContinuationScore]] {
        var results = [[ContinuationScore]](repeating: [], count: prompts.count)
        var (pack, packed) = (PackedPrompts(), [Int]())
        func flush() throws {
            guard !packed.isEmpty else { return }
            let scores = pack.scores(
                try self.scores(of: pack.positions, in: pack.tokens, documents: Documents(pack.starts)))
            for (prompt, scores) in zip(packed, scores) { results[prompt] = scores }
            (pack, packed) = (PackedPrompts(), [])
            try progress()
        }
        for (index, prompt) in prompts.enumerated() {
            // What is scored whole has no state, and shows nothing of how one is held.
            if prompt.packedTokens > Self.scoringTokens || cacheType != .float32 {
                results[index] = try forkedScores(prompt, progress: progress)
                continue
            }
            if pack.tokens.count + prompt.packedTokens > Self.scoringTokens { try flush() }
            pack.append(prompt)
            packed.append(index)
        }
        try flush()
        return results
    }

    private func forkedScores(_ prompt: Prompt, progress: () throws -> Void) throws -> [ContinuationScore] {
        let state = try makeState()
        // The last token is left for the forks: it predicts the first of each continuation.
        let (context, last) = (prompt.context.dropLast(), prompt.context.suffix(1))
        for start in stride(from: 0, to: context.count, by: Self.segment) {
            _ = try hidden([Array(context[start..<min(start + Self.segment, context.count)])], state: state)
            try progress()
        }
        var question: (tokens: ArraySlice<Int32>, state: DecoderState)?
        return try prompt.continuations.map { continuation in
            // Answers to one question fork behind it, again but for the token that predicts their first.
            let asked = last + continuation.tokens.dropLast(continuation.scored)
            if question?.tokens != asked {
                let fork = try state.copy()
                if asked.count > 1 { _ = try hidden([Array(asked.dropLast())], state: fork) }
                question = (asked, fork)
            }
            guard let question, continuation.scored > 0 else { return ContinuationScore([]) }
            let tokens = Array(asked.suffix(1) + continuation.tokens.suffix(continuation.scored))
            let scores = try scores(of: Array(1..<tokens.count), in: tokens, state: question.state.copy())
            try progress()
            return ContinuationScore(scores)
        }
    }
}

/// Prompts as documents of one sequence: each continuation behind a copy of its context.
private struct PackedPrompts {
    private(set) var tokens: [Int32] = []
    private(set) var starts: [Int] = []
    private(set) var positions: [Int] = []
    /// Scored tokens of every continuation of every prompt.
    private var counts: [[Int]] = []

    mutating func append(_ prompt: Prompt) {
        for continuation in prompt.continuations {
            starts.append(tokens.count)
            tokens += prompt.context + continuation.tokens
            positions += (tokens.count - continuation.scored)..<tokens.count
        }
        counts.append(prompt.continuations.map(\.scored))
    }

    /// The scores of the tokens at `positions` by prompt and continuation.
    func scores(_ scores: [TokenScore]) -> [[ContinuationScore]] {
        var rest = scores[...]
        return counts.map { counts in
            counts.map { count in
                defer { rest = rest.dropFirst(count) }
                return ContinuationScore(rest.prefix(count))
            }
        }
    }
}

extension ContinuationScore {
    fileprivate init(_ scores: some Collection<TokenScore>) {
        self.init(
            logLikelihood: -scores.reduce(0) { $0 + Double($1.loss) }, isGreedy: scores.allSatisfy(\.isMostLikely))
    }
}
