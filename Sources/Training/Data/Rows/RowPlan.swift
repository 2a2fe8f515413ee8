/// Which rows of a source are trained on and which are held apart.
///
/// Row r takes tokens r·T ... r·T + T. Rows are held apart in up to eight blocks, spread evenly. A block of v rows
/// reserves v + 1 and begins one token in, so that no token, not even a row's last target, is in a row of either kind.
package struct RowPlan: Sendable, Equatable {
    /// T.
    package let length: Int
    /// Rows that are trained on, and that are held apart.
    package let training: Int
    package let validation: Int
    /// Equal spans of rows with a block at the end of each; rows behind the last span are trained on.
    private let segments: Int
    private let segmentRows: Int
    /// Rows of a block that are held apart.
    private let blockRows: Int

    /// A plan for `tokens` tokens; nil when they are too few for one row of each kind.
    /// - Parameter validationShare: the share of the rows that is held apart: at least one row, unless it is 0.
    package init?(tokens: Int, length: Int, validationShare: Double) {
        let rows = max(0, tokens - 1) / length
        self.length = length
        guard validationShare > 0 else {
            guard rows > 0 else { return nil }
            (training, validation, segments, segmentRows, blockRows) = (rows, 0, 0, 0, 0)
            return
        }
        guard rows >= 3 else { return nil }
        let wanted = max(1, Int((Double(rows) * validationShare).rounded()))
        // A span has room for a row held apart, the one reserved and one that is trained on.
        segments = min(8, wanted, rows / 3)
        segmentRows = rows / segments
        blockRows = min((wanted + segments / 2) / segments, segmentRows - 2)
        validation = segments * blockRows
        training = rows - segments * (blockRows + 1)
    }

    /// The least number of tokens for which there is a plan.
    package static func leastTokens(length: Int, validationShare: Double) -> Int {
        (validationShare > 0 ? 3 : 1) * length + 1
    }

    /// The tokens of a row that is trained on.
    package func trainingTokens(_ index: Int) -> Range<Int> {
        precondition(0..<training ~= index, "row \(index) of \(training)")
        let trained = segmentRows - blockRows - 1
        let blocksBefore = segments == 0 ? 0 : min(segments, index / trained)
        let start = (index + blocksBefore * (blockRows + 1)) * length
        return start..<(start + length + 1)
    }

    /// The tokens of a row that is held apart.
    package func validationTokens(_ index: Int) -> Range<Int> {
        precondition(0..<validation ~= index, "row \(index) of \(validation)")
        let (block, row) = index.quotientAndRemainder(dividingBy: blockRows)
        let start = ((block + 1) * segmentRows - blockRows - 1 + row) * length + 1
        return start..<(start + length + 1)
    }
}
