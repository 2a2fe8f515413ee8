import Foundation
import Support
import Tokenizers

/// Rows in which what stands early is asked for later: lists of keys and values, statements hidden in the user's own text,
/// passages of it that come again. Text as people write it seldom needs more than what stands near by, so that a student
/// that learns from it alone forgets.
///
/// Row after row is a pure function of the seed, the row's number, T, the tokenizer and the text. No document is in a form
/// in which `moult evaluate` asks.
package struct RecallRows: Sendable {
    /// T.
    let length: Int
    let seed: UInt64
    let writer: RecallWriter

    /// To be raised whenever other rows are made of the same seed, so that no run goes on with them.
    private static let version = 1
    /// Tokens of the shortest document.
    private static let shortest = 64
    /// Documents that may find too little room in a row before the rest of it is text.
    private static let patience = 4

    package init(tokenizer: Tokenizer, length: Int, seed: UInt64) {
        self.init(RecallWriter(tokenizer), length: length, seed: seed)
    }

    init(_ writer: RecallWriter, length: Int, seed: UInt64) {
        (self.writer, self.length, self.seed) = (writer, length, seed)
    }

    /// What the rows depend on beside seed, T and text.
    static func fingerprint(_ writer: RecallWriter) -> String { "\(version) \(writer.tokenizer.hash)" }

    /// Recall row `number` >= 0: documents of many lengths one behind another, and text where no other fits.
    /// - Parameter text: a row of the user's text of T + 1 tokens for any number.
    package func row(_ number: Int, text: (UInt64) -> PackedRow) -> PackedRow {
        var random = SplitMix64(seed: seededHash(seed, 0x7265_6361_6C6C, UInt64(number)))
        var (tokens, starts, answers, failures): ([Int32], [Int], [Range<Int>], Int) = ([], [], [], 0)
        while length + 1 - tokens.count >= Self.shortest, failures < Self.patience {
            let room = length + 1 - tokens.count
            guard let document = document(limit: Self.limit(room, &random), text, &random) else {
                failures += 1
                continue
            }
            starts.append(tokens.count)
            answers += document.answers.map { $0.lowerBound + tokens.count..<$0.upperBound + tokens.count }
            tokens += document.tokens
        }
        let filling = text(random.next())
        starts += filling.documents.map { $0 + tokens.count }
        tokens += filling.tokens.prefix(length + 1 - tokens.count)
        return PackedRow(tokens: tokens, documents: starts.filter { $0 < length }, answers: answers)
    }

    /// A document's length: its logarithm is uniform, from the shortest to all of the `room`.
    private static func limit(_ room: Int, _ random: inout SplitMix64) -> Int {
        let growth = pow(Double(room) / Double(shortest), random.uniform())
        return min(room, Int(Double(shortest) * growth))
    }

    /// List `number` >= 0 as a document of at most `limit` tokens; nil when there is no room for a question.
    package func list(_ number: Int, limit: Int) -> PackedRow? {
        var random = SplitMix64(seed: seededHash(seed, 0x6C69_7374, UInt64(limit), UInt64(number)))
        var document = RecallDocument(writer, limit: limit)
        RecallList.write(to: &document, &random)
        guard !document.answers.isEmpty else { return nil }
        return PackedRow(tokens: document.tokens, documents: [0], answers: document.answers)
    }

    /// A document of at most `limit` tokens; nil when its kind has no room for a question and an answer.
    private func document(
        limit: Int, _ text: (UInt64) -> PackedRow, _ random: inout SplitMix64
    ) -> RecallDocument? {
        var document = RecallDocument(writer, limit: limit)
        switch Int.random(in: 0..<10, using: &random) {
        case 0..<6: RecallList.write(to: &document, &random)
        case 6..<9: RecallNeedles.write(to: &document, writer.passage(text(random.next()), limit, &random), &random)
        default: RecallCopy.write(to: &document, writer.passage(text(random.next()), limit, &random), &random)
        }
        document.finish()
        return document.answers.isEmpty ? nil : document
    }
}
