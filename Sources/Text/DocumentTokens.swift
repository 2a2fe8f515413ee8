import Tokenizers

/// The tokens of a source's documents, one behind another, as rows to train on have them.
public struct DocumentTokens: Sendable {
    /// Token ids, those that begin and end a document among them.
    public let tokens: [Int32]
    /// Where documents begin in ``tokens``, ascending.
    public let starts: [Int]
    /// Whether the source was read to its end.
    public let isWhole: Bool

    /// Reads the files of `source`, whose weight does not count.
    /// - Parameters:
    ///   - limit: the most tokens; no more text is read than they need.
    ///   - progress: called with bytes read and in all, from the calling thread; throwing stops.
    /// - Throws: ``DataError``, or what `progress` throws.
    public init(
        _ source: DataSource, tokenizer: Tokenizer, options: DataOptions = DataOptions(), limit: Int = .max,
        progress: (Int, Int) throws -> Void = { _, _ in }
    ) throws {
        try options.validate()
        let files = try source.files().map { try DataFile(path: $0) }
        let total = files.reduce(0) { $0 + $1.size }
        var stream = TokenStream(files, options: options, tokenizer: DocumentTokenizer(tokenizer))
        defer { stream.stop() }
        var (tokens, starts, isWhole): ([Int32], [Int], Bool) = ([], [], false)
        while tokens.count <= limit {
            guard let text = try stream.next() else {
                isWhole = true
                break
            }
            starts += text.starts.map { $0 + tokens.count }
            tokens += text.tokens
            try progress(stream.bytesRead, total)
        }
        isWhole = isWhole && tokens.count <= limit
        self.tokens = tokens.count > limit ? Array(tokens.prefix(limit)) : tokens
        self.starts = starts.filter { $0 < limit }
        self.isWhole = isWhole
    }
}
