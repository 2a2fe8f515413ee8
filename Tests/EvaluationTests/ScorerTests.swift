import Evaluation
import Foundation
import Models
import Support
import TestSupport
import Testing

@Suite("Scores of continuations")
struct ScorerTests {
    static let models = ["llama-tied", "mistral-sliding-window", "moult-gsa-window", "moult-hybrid", "fla-gsa-untied"]

    /// log softmax of the logits of whole sequences in float64, and their greatest entries.
    private func expected(_ model: DecoderModel, _ prompt: Prompt) throws -> [ContinuationScore] {
        let vocabulary = model.configuration.decoder.vocabularySize
        return try prompt.continuations.map { continuation in
            let tokens = prompt.context + continuation.tokens
            let logits: [Float] = try model.logits([tokens]).array()
            var (sum, greedy) = (0.0, true)
            for position in (tokens.count - continuation.scored)..<tokens.count {
                let row = logits[(position - 1) * vocabulary..<position * vocabulary].map(Double.init)
                let target = Int(tokens[position])
                sum += row[target] - log(row.reduce(0) { $0 + exp($1) })
                greedy = greedy && row.firstIndex(of: row.max() ?? 0) == target
            }
            return ContinuationScore(logLikelihood: sum, isGreedy: greedy)
        }
    }

    private func check(_ model: DecoderModel, _ prompts: [Prompt]) throws {
        let scores = try model.scores(prompts) {}
        #expect(scores.count == prompts.count)
        for (prompt, scores) in zip(prompts, scores) {
            for (found, expected) in zip(scores, try expected(model, prompt)) {
                #expect(abs(found.logLikelihood - expected.logLikelihood) < 1e-3)
                #expect(found.isGreedy == expected.isGreedy)
            }
        }
    }

    private func tokens(_ count: Int, _ random: inout SplitMix64) -> [Int32] {
        (0..<count).map { _ in Int32.random(in: 0..<64, using: &random) }
    }

    @Test("packed prompts score as each sequence alone", arguments: models)
    func packed(_ name: String) throws {
        var random = SplitMix64(seed: 1)
        let model = try tinyModel(name)
        // More than one pack in all.
        let prompts = (0..<24).map { index in
            Prompt(
                context: tokens(1 + index * 3 % 37, &random),
                continuations: (0..<3).map { choice in
                    Prompt.Continuation(tokens: tokens(1 + choice * 4, &random), scored: 1 + choice)
                })
        }
        try check(model, prompts)
    }

    @Test("continuations of a long context score as whole sequences", arguments: models)
    func forked(_ name: String) throws {
        var random = SplitMix64(seed: 2)
        // Two answers to one question, of which the first is asked again later.
        let question = tokens(4, &random)
        let alone = [(1, 1), (5, 2), (7, 7)].map { Prompt.Continuation(tokens: tokens($0, &random), scored: $1) }
        let answers = [1, 3, 2].map { Prompt.Continuation(tokens: question + tokens($0, &random), scored: $0) }
        let prompt = Prompt(
            context: tokens(1100, &random), continuations: alone + answers[..<2] + [alone[0]] + answers[2...])
        try check(try tinyModel(name), [prompt])
    }

    @Test("what greedy decoding gives is told from what it does not give")
    func greedy() throws {
        let model = try tinyModel("llama-tied")
        var sequence: [Int32] = [3, 77, 12]
        for _ in 0..<4 {
            let logits: [Float] = try model.nextLogits(sequence, state: model.makeState()).array()
            sequence.append(Int32(logits.firstIndex(of: logits.max() ?? 0) ?? 0))
        }
        let right = Array(sequence.dropFirst(3))
        let wrong = Array(right.dropLast()) + [(right[3] + 1) % 128]
        let prompt = Prompt(
            context: [3, 77, 12],
            continuations: [.init(tokens: right, scored: 4), .init(tokens: wrong, scored: 4)])
        #expect(try model.scores([prompt]) {}[0].map(\.isGreedy) == [true, false])
    }

    @Test("positions that have nothing before them are refused")
    func positions() throws {
        let model = try tinyModel("llama-tied")
        for position in [0, 3, -1] {
            #expect(throws: ModelError.self) { try model.scores(of: [position], in: [1, 2, 3]) }
        }
    }
}
