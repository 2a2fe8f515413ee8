import Evaluation
import Foundation
import Support
import Testing

@Suite("Figures of tasks, by hand")
struct MetricTests {
    private func score(_ logLikelihood: Double, _ isGreedy: Bool = false) -> ContinuationScore {
        ContinuationScore(logLikelihood: logLikelihood, isGreedy: isGreedy)
    }

    @Test("the mean and its standard error")
    func mean() throws {
        let metric = Metric("acc", meanOf: [1, 0, 1, 1])
        #expect(metric.value == 0.75)
        // √(p (1 - p) / (n - 1)) = √(0.1875 / 3).
        #expect(abs(try #require(metric.standardError) - 0.25) < 1e-12)
        #expect(Metric("acc", meanOf: [1]).standardError == nil)
    }

    @Test("cloze: greedy accuracy, and the perplexity of whole continuations")
    func cloze() throws {
        let passage = Passage(context: "a", queries: [.init(choices: [" b"], gold: 0)])
        let metrics = Scoring.cloze.metrics([passage, passage], scores: [[score(-1, true)], [score(-3)]])
        #expect(metrics.map(\.name) == ["acc", "perplexity"])
        #expect(metrics[0].value == 0.5)
        #expect(abs(metrics[1].value - exp(2)) < 1e-12)
        // Losses 1 and 3: s = √2, s / √2 = 1.
        #expect(abs(try #require(metrics[1].standardError) - exp(2)) < 1e-12)
    }

    @Test("choice: characters are counted without the space before the choice")
    func choice() {
        // Without a norm the first wins (-2 > -3). Per character: -2 / 2 = -1 against -3 / 4.
        let query = Passage.Query(choices: [" no", " yess"], gold: 1)
        let even = Passage.Query(choices: [" é", " a"], gold: 0)
        let passages = [query, even].map { Passage(context: "a", queries: [$0]) }
        // Of equal values the first is taken.
        let metrics = Scoring.choice.metrics(passages, scores: [[score(-2), score(-3)], [score(-1), score(-1)]])
        #expect(metrics.map(\.name) == ["acc", "acc_norm"])
        #expect(metrics.map(\.value) == [0.5, 1])
    }

    @Test("retrieval: the queries of one passage are one example")
    func retrieval() {
        let query = Passage.Query(question: "?", choices: [" 1", " 2"], gold: 1)
        let passages = [
            Passage(context: "a", queries: [query, query]), Passage(context: "b", queries: [query, query]),
        ]
        let metrics = Scoring.retrieval.metrics(
            passages,
            scores: [
                [score(-2), score(-1, true), score(-1, true), score(-2)], [score(-9), score(-8), score(-9), score(-8)],
            ])
        #expect(metrics.map(\.name) == ["acc", "exact_match"])
        #expect(metrics.map(\.value) == [0.75, 0.25])
        #expect(metrics.map(\.standardError) == [0.25, 0.25])
    }
}
