import Evaluation
import Foundation
import Generation
import Models
import TestSupport
import Testing
import Tokenizers

/// What `evaluate` asks a model to generate.
@Suite("Texts continued for an evaluation")
struct TextContinuerTests {
    private let model: DecoderModel
    private let tokenizer: Tokenizer

    init() throws {
        let folder = testsFolder.appendingPathComponent("TrainingTests/Fixtures/teacher")
        model = try DecoderModel.load(folder.path, as: .float32)
        tokenizer = try Tokenizer.load(directory: folder)
    }

    private func continuation(_ prompt: [Int32], limit: Int, until isEnough: (String) -> Bool) throws -> String {
        try model.continuation(of: prompt, limit: limit, tokenizer: tokenizer, until: isEnough) {}
    }

    @Test("a prompt of several segments goes on with the likeliest tokens of the whole sequence")
    func greedy() throws {
        let prompt = (0..<600).map { Int32(3 + $0 * 31 % 2000) }
        let stops = tokenizer.stops(model.configuration.decoder.eosTokens)
        #expect(stops.contains(2))
        var generated: [Int32] = []
        while generated.count < 6 {
            let logits = try model.logits([prompt + generated]).array().suffix(2003)
            let best = logits.indices.max { logits[$0] < logits[$1] }.map { Int32($0 - logits.startIndex) }
            let token = try #require(best)
            if stops.contains(token) { break }
            generated.append(token)
        }
        #expect(!generated.isEmpty)
        let expected = try tokenizer.decode(generated)
        #expect(try continuation(prompt, limit: 6) { _ in false } == expected)
        // Nothing more is generated once it is enough.
        var seen: [String] = []
        let short = try continuation(prompt, limit: 6) {
            seen.append($0)
            return !$0.isEmpty
        }
        #expect(seen.count < 6 && seen.last == short && expected.hasPrefix(short))
    }

    @Test("a task from its text to its figure, the same each time")
    func task() throws {
        var options = EvaluationTask.Options()
        (options.lengths, options.limit) = ([700], 2)
        let groups = try EvaluationTask.needleSingle1.groups(options, tokenizer: tokenizer)
        let result = try groups[0].evaluate(model, tokenizer: tokenizer)
        #expect(result.answers.count == 2 && result.metrics[0].value == 0)
        #expect(try groups[0].evaluate(model, tokenizer: tokenizer).answers == result.answers)
        struct Stop: Error {}
        #expect(throws: Stop.self) { try groups[0].evaluate(model, tokenizer: tokenizer) { _ in throw Stop() } }
    }
}
