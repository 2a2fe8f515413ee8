import Tokenizers

/// The endless sequence of rows of one length that a data set gives to train on.
package struct TrainingRows: Sendable {
    /// A source that is trained on: its tokens, and which of them are rows.
    typealias Source = (shards: TokenShards, rows: SpannedRows)

    private let sources: [Source]
    private let counts: [Int]
    private let mixture: Mixture
    private let seed: UInt64
    /// Which rows are made rather than read, and how.
    private let share: RecallShare
    private let recall: RecallRows
    /// Tokens with which every text begins.
    private let prefix: [Int32]

    /// - Parameters:
    ///   - sources: of rows of one length, at least one of each.
    ///   - weights: of the sources, or none.
    init(_ sources: [Source], weights: [Double], share: RecallShare, recall: RecallRows, seed: UInt64) {
        (self.sources, self.share, self.recall, self.seed) = (sources, share, recall, seed)
        prefix = recall.writer.tokenizer.prefix
        counts = sources.map(\.rows.count)
        mixture = Mixture(rows: counts, weights: weights)
    }

    /// Rows of text before all sources together have been visited once.
    package var perEpoch: Int { counts.reduce(0, +) }

    /// Row `index` >= 0: a row of the text, or in their share of every 1024 rows a recall row.
    package subscript(index: Int) -> PackedRow {
        let before = share.rows(before: index)
        guard share.contains(index) else { return text(index - before) }
        return recall.row(before) { text(Int($0 % UInt64(perEpoch))) }
    }

    /// Row `index` of the text.
    ///
    /// Without weights each row comes once in ``perEpoch`` rows. With weights each source has its share of every
    /// 1024 rows, exactly, and each of its rows comes once before any comes again.
    private func text(_ index: Int) -> PackedRow {
        let (source, row) = mixture.place(index, rows: counts, seed: seed)
        return PackedRow(sources[source].shards, sources[source].rows.tokens(row), prefix: prefix)
    }
}

extension PackedRow {
    /// The tokens at `range`, T and the one after; the first is `prefix`, if there is one.
    init(_ shards: TokenShards, _ range: Range<Int>, prefix: [Int32]) {
        let starts = shards.documentStarts(in: range.lowerBound + 1..<range.upperBound - 1)
        self.init(
            tokens: prefix + shards.tokens(in: range.lowerBound + prefix.count..<range.upperBound),
            documents: [0] + starts.map { $0 - range.lowerBound })
    }
}
