import Foundation

/// How the answers of a task become figures. Names and definitions are those of lm-evaluation-harness where it has them.
public enum Scoring: Sendable {
    /// One continuation: whether it is what greedy decoding gives, and the perplexity per continuation, not per token.
    case cloze
    /// The likeliest of several choices, by log-likelihood and by log-likelihood per character.
    case choice
    /// The likeliest of choices of equal length, and whether the right one is what greedy decoding gives.
    case retrieval

    /// The figures over passages; of a passage with several queries the mean counts as one example.
    /// - Parameter scores: by passage, of the choices of all its queries one after the other.
    public func metrics(_ passages: [Passage], scores: [[ContinuationScore]]) -> [Metric] {
        let answers = zip(passages, scores).map { passage, scores in
            var rest = scores[...]
            return passage.queries.map { query in
                defer { rest = rest.dropFirst(query.choices.count) }
                return Answer(query: query, scores: Array(rest.prefix(query.choices.count)))
            }
        }
        func metric(_ name: String, _ value: (Answer) -> Double) -> Metric {
            Metric(name, meanOf: answers.map { $0.map(value).reduce(0, +) / Double($0.count) })
        }
        switch self {
        case .cloze:
            let loss = metric("loss") { -$0.gold.logLikelihood }
            let perplexity = exp(loss.value)
            return [
                metric("acc") { $0.gold.isGreedy ? 1 : 0 },
                // The error of exp(x) is exp(x) times that of x, to first order.
                Metric(
                    name: "perplexity", value: perplexity, standardError: loss.standardError.map { $0 * perplexity }),
            ]
        case .choice:
            return [
                metric("acc") { $0.isRight { score, _ in score } },
                metric("acc_norm") { $0.isRight { score, choice in score / Double(Self.length(choice)) } },
            ]
        case .retrieval:
            return [
                metric("acc") { $0.isRight { score, _ in score } },
                metric("exact_match") { $0.gold.isGreedy ? 1 : 0 },
            ]
        }
    }

    /// Characters (Unicode scalars) of a choice without the space that joins it to its question.
    private static func length(_ choice: String) -> Int {
        max(1, choice.unicodeScalars.count - (choice.hasPrefix(" ") ? 1 : 0))
    }

    private struct Answer {
        let query: Passage.Query
        let scores: [ContinuationScore]

        var gold: ContinuationScore { scores[query.gold] }

        /// 1 when the right choice has the greatest value; of equal ones the first is taken.
        func isRight(_ value: (Double, String) -> Double) -> Double {
            let values = zip(scores, query.choices).map { value($0.logLikelihood, $1) }
            return values.firstIndex(of: values.max() ?? 0) == query.gold ? 1 : 0
        }
    }
}
