/// Which rows of a source are trained on and which are held apart.
///
/// Row r takes tokens r·T ... r·T + T. Rows are held apart in up to eight blocks, spread evenly. A block of v rows
/// reserves v + 1 and begins one token in, so that no token, not even a row's last target, is in a row of either kind.
/// Between the blocks rows of any length may be trained on.
package struct RowPlan: Sendable, Equatable {
    /// T.
    package let length: Int
    /// Rows that are held apart.
    package let validation: Int
    /// Tokens of the source.
    private let tokens: Int
    /// Equal spans of rows with a block at the end of each; rows behind the last span are trained on.
    private let segments: Int
    private let segmentRows: Int
    /// Rows of a block that are held apart.
    private let blockRows: Int

    /// A plan for `tokens` tokens; nil when they are too few for one row of each kind.
    /// - Parameter validationShare: the share of the rows that is held apart: at least one row, unless it is 0.
    package init?(tokens: Int, length: Int, validationShare: Double) {
        let rows = max(0, tokens - 1) / length
        (self.tokens, self.length) = (tokens, length)
        guard validationShare > 0 else {
            guard rows > 0 else { return nil }
            (validation, segments, segmentRows, blockRows) = (0, 0, 0, 0)
            return
        }
        guard rows >= 3 else { return nil }
        let wanted = max(1, Int((Double(rows) * validationShare).rounded()))
        // A span has room for a row held apart, the one reserved and one that is trained on.
        segments = min(8, wanted, rows / 3)
        segmentRows = rows / segments
        blockRows = min((wanted + segments / 2) / segments, segmentRows - 2)
        validation = segments * blockRows
    }

    /// The least number of tokens for which there is a plan.
    package static func leastTokens(length: Int, validationShare: Double) -> Int {
        (validationShare > 0 ? 3 : 1) * length + 1
    }

    /// The rows of `length` tokens that are trained on.
    package func trainingRows(length: Int) -> SpannedRows {
        let trained = (segmentRows - blockRows - 1) * self.length
        let spans = (0..<segments).map { segment in
            let start = segment * segmentRows * self.length
            return start..<start + trained + 1
        }
        return SpannedRows(spans + [segments * segmentRows * self.length..<tokens], length: length)
    }

    /// About how many tokens the source would need for a row of `length` tokens that is trained on.
    package func tokens(forRowsOf length: Int) -> Int {
        let longest = max(
            segments == 0 ? tokens : (segmentRows - blockRows - 1) * self.length + 1,
            tokens - segments * segmentRows * self.length)
        return Int((Double(tokens) * Double(length + 1) / Double(longest)).rounded(.up))
    }

    /// The tokens of a row that is held apart.
    package func validationTokens(_ index: Int) -> Range<Int> {
        precondition(0..<validation ~= index, "row \(index) of \(validation)")
        let (block, row) = index.quotientAndRemainder(dividingBy: blockRows)
        let start = ((block + 1) * segmentRows - blockRows - 1 + row) * length + 1
        return start..<(start + length + 1)
    }
}
