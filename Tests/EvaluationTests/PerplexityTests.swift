import Checkpoints
import Evaluation
import Foundation
import Models
import TestSupport
import Testing
import Text
import Tokenizers

@Suite("Perplexity")
struct PerplexityTests {
    private let (model, tokenizer): (DecoderModel, Tokenizer)
    private let folder: TemporaryFolder

    init() throws {
        let files = try ModelFiles.open(testsFolder.appendingPathComponent("TrainingTests/Fixtures/teacher").path)
        (model, tokenizer) = (try DecoderModel.load(files), try englishTokenizer())
        folder = try TemporaryFolder()
    }

    /// The losses of every token of `tokens` but the first.
    private func losses(_ tokens: some Collection<Int32>) throws -> [Double] {
        try model.negativeLogLikelihood([Array(tokens)]).map { Double($0) }
    }

    @Test("of a text is that of its windows")
    func text() throws {
        let text = (0..<90).map { "The fox \($0 * $0 % 97) jumps over the dog.\n" }.joined()
        let tokens = try tokenizer.encode(text, addSpecialTokens: false)
        let found = try Perplexity.measure(model, tokenizer: tokenizer, text: text, window: 50, limit: 7)
        var total = 0.0
        let prefix = tokenizer.textPrefix
        #expect(prefix.count == 1)
        for window in 0..<7 {
            for loss in try losses(prefix + tokens[50 * window...50 * window + 50]).dropFirst() { total += loss }
        }
        #expect(found.totalLoss == total && found.tokens == 350 && found.windows == 7)
        #expect(found.availableWindows == (tokens.count - 1) / 50)
        #expect(found.perplexity == exp(total / 350))
        #expect(found.tokensByPosition == Array(repeating: 7, count: 50))
        #expect(found.perplexity(at: 3..<5) == exp((found.lossByPosition[3] + found.lossByPosition[4]) / 14))
    }

    @Test("of documents is that of each by itself, and no document's first token is predicted")
    func documents() throws {
        let texts = ["One fox.", "Two dogs and a fox that jumps over them.", "Three", "Four more words here"]
        try folder.write("a.jsonl", texts.map { "{\"text\": \"\($0)\"}\n" }.joined())
        let documents = try DocumentTokens(DataSource(path: "\(folder.path)/a.jsonl"), tokenizer: tokenizer)
        let count = documents.tokens.count
        let bounds = documents.starts + [count]
        // All in one window: each document whole.
        let whole = try Perplexity.measure(model, tokenizer: tokenizer, documents: documents, window: 1000)
        let each = try (0..<4).map { try losses(documents.tokens[bounds[$0]..<bounds[$0 + 1]]) }
        #expect(whole.tokens == count - 4 && whole.windows == 1 && whole.availableWindows == 1)
        #expect(abs(whole.totalLoss - each.joined().reduce(0, +)) < 1e-3)
        #expect(whole.bytes == texts.reduce(0) { $0 + $1.utf8.count })
        #expect(whole.tokensByPosition.count == count - 1)
        for start in documents.starts.dropFirst() { #expect(whole.tokensByPosition[start - 1] == 0) }
        // Windows of 6 cut the documents: what a window holds of one begins anew, as a text does.
        let cut = try Perplexity.measure(model, tokenizer: tokenizer, documents: documents, window: 6)
        var (total, tokens) = (0.0, 0)
        for window in 0..<(count - 1) / 6 {
            let places = documents.starts.filter { 6 * window + 1..<6 * window + 7 ~= $0 }
            for (start, end) in zip([6 * window] + places, places + [6 * window + 7]) where end - start > 1 {
                let prefix = documents.starts.contains(start) ? [] : tokenizer.textPrefix
                let part = try losses(prefix + documents.tokens[start..<end]).dropFirst(prefix.count)
                (total, tokens) = (total + part.reduce(0, +), tokens + part.count)
            }
        }
        #expect(cut.tokens == tokens && abs(cut.totalLoss - total) < 1e-3)
        #expect(cut.tokensByPosition.reduce(0, +) == tokens)
    }

    @Test("of documents that were not read to their end knows no number of windows")
    func limited() throws {
        try folder.write("a.jsonl", String(repeating: "{\"text\": \"One fox and two dogs.\"}\n", count: 50))
        let source = DataSource(path: "\(folder.path)/a.jsonl")
        let some = try DocumentTokens(source, tokenizer: tokenizer, limit: 2 * 16 + 1)
        let found = try Perplexity.measure(model, tokenizer: tokenizer, documents: some, window: 16, limit: 2)
        #expect(found.windows == 2 && found.availableWindows == nil)
        let all = try Perplexity.measure(
            model, tokenizer: tokenizer, documents: DocumentTokens(source, tokenizer: tokenizer), window: 16, limit: 2)
        #expect(all.totalLoss == found.totalLoss && all.availableWindows ?? 0 > 10)
    }

    @Test("needs a token to predict from another")
    func tooShort() throws {
        #expect(throws: EvaluationError.textTooShort(tokens: 0)) {
            try Perplexity.measure(model, tokenizer: tokenizer, text: "")
        }
    }
}
