/// Which rows are recall rows: a share of every ``Mixture/blockRows`` rows, exactly and evenly spread, so that the batches of
/// a run hold it too.
package struct RecallShare: Sendable, Equatable {
    /// What a share may be. A row of each block is always text.
    package static let range = 0...0.999
    /// Recall rows of each block.
    let quota: Int

    /// - Parameter share: within ``range``; at least one row of a block, unless it is 0.
    package init(_ share: Double) {
        quota = share > 0 ? max(1, Int((share * Double(Mixture.blockRows)).rounded())) : 0
    }

    /// Recall rows among the rows before `index`.
    package func rows(before index: Int) -> Int {
        let (block, position) = index.quotientAndRemainder(dividingBy: Mixture.blockRows)
        return block * quota + position * quota / Mixture.blockRows
    }

    /// Whether row `index` is a recall row.
    package func contains(_ index: Int) -> Bool { rows(before: index + 1) > rows(before: index) }
}
