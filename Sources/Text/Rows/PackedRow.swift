/// A row to train on: T tokens and the one after, with documents one behind another. Where the tokenizer begins a text with a
/// token (BOS), a row does too: in one that was cut from the middle of a document it stands in the place of the first token.
public struct PackedRow: Sendable, Equatable {
    /// T + 1 token ids: position i predicts position i + 1.
    public let tokens: [Int32]
    /// Where documents begin among the first T positions, ascending; the first is 0, whether or not one begins there. Of a row
    /// that was cut from a longer one also T, where one begins behind it.
    public let documents: [Int]
    /// Where in ``tokens`` what was read before is said again, in a recall row: each at least one token in.
    public let answers: [Range<Int>]

    /// Tokens that its first document has in the rows before it, where it goes on with them.
    public let before: Int

    init(tokens: [Int32], documents: [Int], answers: [Range<Int>] = [], before: Int = 0) {
        (self.tokens, self.documents, self.answers, self.before) = (tokens, documents, answers, before)
    }

    /// `rows` of one length as one, none of which goes on with another.
    package init(joining rows: [PackedRow]) {
        let length = (rows.first?.tokens.count ?? 1) - 1
        self.init(
            tokens: rows.flatMap { $0.tokens.dropLast() } + (rows.last?.tokens.suffix(1) ?? []),
            documents: rows.enumerated().flatMap { index, row in row.documents.map { $0 + index * length } },
            answers: rows.enumerated().flatMap { index, row in
                row.answers.map { $0.lowerBound + index * length..<$0.upperBound + index * length }
            })
    }

    /// The row at `index` of those of `length` tokens into which this one is cut, each of which goes on with the one before.
    package func piece(_ index: Int, length: Int) -> PackedRow {
        let (first, end) = (index * length, (index + 1) * length)
        let starts = documents.filter { first...end ~= $0 }.map { $0 - first }
        let own = answers.map { $0.clamped(to: first + 1..<end + 1) }.filter { !$0.isEmpty }
        return PackedRow(
            tokens: Array(tokens[first...end]), documents: (starts.first == 0 ? [] : [0]) + starts,
            answers: own.map { $0.lowerBound - first..<$0.upperBound - first },
            before: first - (documents.last { $0 <= first } ?? 0))
    }
}
