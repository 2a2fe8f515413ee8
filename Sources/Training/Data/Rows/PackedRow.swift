/// A row to train on: T tokens and the one after, with documents one behind another.
public struct PackedRow: Sendable, Equatable {
    /// T + 1 token ids: position i predicts position i + 1.
    public let tokens: [Int32]
    /// Where documents begin among the first T positions, ascending; the first is 0, whether or not one begins there.
    public let documents: [Int]
    /// Where in ``tokens`` what was read before is said again, in a recall row: each at least one token in.
    public let answers: [Range<Int>]

    /// Tokens that its first document has in the rows before it, where it goes on with them.
    public let before: Int

    init(tokens: [Int32], documents: [Int], answers: [Range<Int>] = [], before: Int = 0) {
        (self.tokens, self.documents, self.answers, self.before) = (tokens, documents, answers, before)
    }

    /// The row at `index` of those of `length` tokens into which this one is cut, each of which goes on with the one before.
    package func piece(_ index: Int, length: Int) -> PackedRow {
        let (first, end) = (index * length, (index + 1) * length)
        let starts = documents.filter { first..<end ~= $0 }.map { $0 - first }
        let own = answers.map { $0.clamped(to: first + 1..<end + 1) }.filter { !$0.isEmpty }
        return PackedRow(
            tokens: Array(tokens[first...end]), documents: starts.first == 0 ? starts : [0] + starts,
            answers: own.map { $0.lowerBound - first..<$0.upperBound - first },
            before: first - (documents.last { $0 <= first } ?? 0))
    }
}
