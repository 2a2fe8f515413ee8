/// A row to train on: T tokens and the one after, with documents one behind another.
public struct PackedRow: Sendable, Equatable {
    /// T + 1 token ids: position i predicts position i + 1.
    public let tokens: [Int32]
    /// Where documents begin among the first T positions, ascending; the first is 0, whether or not one begins there.
    public let documents: [Int]
    /// Where in ``tokens`` what was read before is said again, in a recall row: each at least one token in.
    public let answers: [Range<Int>]

    init(tokens: [Int32], documents: [Int], answers: [Range<Int>] = []) {
        (self.tokens, self.documents, self.answers) = (tokens, documents, answers)
    }
}
