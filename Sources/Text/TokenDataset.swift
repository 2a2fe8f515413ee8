import Checkpoints
import Foundation
import Support
import Tokenizers

/// Text as rows of T tokens to train on, in an order that depends on nothing but the seed: ``row(_:)`` is a pure
/// function, so that a run that was stopped goes on where it was with no more than its step.
public struct TokenDataset: Sendable {
    /// What became of a source.
    public struct SourceReport: Sendable, Equatable {
        /// The source, as it was named.
        public let path: String
        /// What became of its files.
        public let statistics: DataStatistics
        /// Rows of T tokens that are trained on.
        public let trainingRows: Int
        /// Rows of T tokens that are held apart.
        public let validationRows: Int
    }

    /// T, tokens of a row without its last target.
    public let length: Int
    /// What the rows' order depends on.
    public let seed: UInt64
    /// A hash of all that ``row(_:)`` depends on: equal for equal rows.
    public let fingerprint: String
    /// The sources to train on, then those to validate on.
    public let reports: [SourceReport]

    private let sources: [DataSource]
    /// What is trained on, then what is held apart.
    private let opened: [(shards: TokenShards, plan: RowPlan)]
    private let training: TrainingRows
    private let share: RecallShare
    private let writer: RecallWriter
    /// Rows held apart of each source, added up from the first on.
    private let validationEnds: [Int]

    /// Tokenises the sources, or takes up tokens kept in `cache`.
    /// - Parameters:
    ///   - sources: what to train on; either all have weights, or none, and then every row is visited once an epoch.
    ///   - length: T, at least 2.
    ///   - recall: the share of rows that are made to ask for what stands in them, 0 to 0.999.
    ///   - cache: a folder for tokens, created where it is missing.
    ///   - progress: called with bytes done and in all, from the calling thread; throwing stops.
    /// - Throws: ``DataError``, or what `progress` throws.
    public init(
        sources: [DataSource], validation: Validation = .standard, tokenizer: Tokenizer, length: Int, seed: UInt64,
        recall: Double = 0, cache: String, options: DataOptions = DataOptions(),
        progress: (Int, Int) throws -> Void = { _, _ in }
    ) throws {
        try self.init(
            DataSources(sources, validation: validation, length: length, recall: recall, options: options),
            tokenizer: tokenizer, seed: seed, cache: cache, progress: progress)
    }

    /// As ``init(sources:validation:tokenizer:length:seed:recall:cache:options:progress:)``, with sources that were looked up.
    package init(
        _ looked: DataSources, tokenizer: Tokenizer, seed: UInt64, cache: String, progress: (Int, Int) throws -> Void
    ) throws {
        let (sources, all, files) = (looked.trained, looked.trained + looked.held, looked.files)
        let (length, options, share) = (looked.length, looked.options, looked.share)
        let total = files.joined().reduce(0) { $0 + $1.size }
        let cache = ShardCache(folder: cache, options: options, tokenizer: DocumentTokenizer(tokenizer))
        var (done, shardsOf): (Int, [Int: TokenShards]) = (0, [:])
        // What is held apart comes first: it is small, and its faults should not wait for the rest.
        for index in Array(all.indices.dropFirst(sources.count)) + all.indices.prefix(sources.count) {
            shardsOf[index] = try cache.shards(of: files[index]) { try progress(done + $0, total) }
            done += files[index].reduce(0) { $0 + $1.size }
        }
        var (opened, reports): ([(TokenShards, RowPlan)], [SourceReport]) = ([], [])
        for (index, source) in all.enumerated() {
            guard let shards = shardsOf[index] else { continue }
            let isHeld = index >= sources.count
            let share = isHeld ? 0 : share
            guard let plan = RowPlan(tokens: shards.count, length: length, validationShare: share) else {
                let needed = RowPlan.leastTokens(length: length, validationShare: share)
                throw DataError.tooFewTokens(source: source.path, needed: needed, found: shards.count)
            }
            opened.append((shards, plan))
            let rows = plan.trainingRows(length: length).count
            reports.append(
                SourceReport(
                    path: source.path, statistics: shards.manifest.statistics,
                    trainingRows: isHeld ? 0 : rows, validationRows: isHeld ? rows : plan.validation))
        }
        (self.length, self.seed, self.sources, self.opened, self.reports) = (length, seed, sources, opened, reports)
        (self.share, writer) = (RecallShare(looked.recall), RecallWriter(tokenizer))
        training = try Self.training(
            opened, sources, length: length, share: self.share, writer: writer, seed: seed)
        var sum = 0
        validationEnds = reports.map { report in
            sum += report.validationRows
            return sum
        }
        let begun = writer.tokenizer.prefix.map { "begin \($0)" }
        let made = looked.recall > 0 ? ["recall", RecallRows.fingerprint(writer), "\(self.share.quota)"] : []
        let parts =
            ["\(length)", "\(seed)", "\(share)"] + opened.map(\.0.fingerprint) + sources.map { "\($0.weight ?? 0)" }
            + begun + made
        fingerprint = XXHash64.text(Data(parts.joined(separator: " ").utf8))
    }

    /// Rows that are trained on before all sources together have been visited once.
    public var rowsPerEpoch: Int { training.perEpoch }

    /// Row `index` >= 0 of the endless sequence of rows to train on: a row of the text, or in their share of every 1024 rows
    /// a recall row.
    public func row(_ index: Int) -> PackedRow { training[index] }

    /// The same text in rows of another length, without what is held apart.
    /// - Throws: ``DataError/tooFewTokens(source:needed:found:)`` when a source has no stretch of text that long.
    package func rows(length: Int) throws -> TrainingRows {
        try Self.training(opened, sources, length: length, share: share, writer: writer, seed: seed)
    }

    private static func training(
        _ opened: [(shards: TokenShards, plan: RowPlan)], _ sources: [DataSource], length: Int, share: RecallShare,
        writer: RecallWriter, seed: UInt64
    ) throws -> TrainingRows {
        let rows = try zip(sources, opened).map { source, opened in
            let rows = opened.plan.trainingRows(length: length)
            guard rows.count > 0 else {
                throw DataError.tooFewTokens(
                    source: source.path, needed: opened.plan.tokens(forRowsOf: length), found: opened.shards.count)
            }
            return (opened.shards, rows)
        }
        return TrainingRows(
            rows, weights: sources.compactMap(\.weight), share: share,
            recall: RecallRows(writer, length: length, seed: seed), seed: seed)
    }

    /// The rows that are held apart, source after source in the order of the text. None of their tokens is in a row
    /// that is trained on.
    public var validationRows: some RandomAccessCollection<PackedRow> {
        (0..<(validationEnds.last ?? 0)).lazy.map { index in
            let source = validationEnds.firstIndex { $0 > index } ?? 0
            let row = index - (source == 0 ? 0 : validationEnds[source - 1])
            let (shards, plan) = opened[source]
            let isHeld = source >= sources.count
            return PackedRow(
                shards, isHeld ? plan.trainingRows(length: length).tokens(row) : plan.validationTokens(row),
                prefix: writer.tokenizer.prefix)
        }
    }
}
