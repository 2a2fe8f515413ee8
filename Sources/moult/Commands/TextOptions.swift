import ArgumentParser
import Text
import Tokenizers

/// How text that a user names is read: as `train` reads it, but that a file of text is one text.
struct TextOptions: ParsableArguments {
    @Option(
        help: "Key or column that holds the text, or a list of messages. (default: text, messages or conversations)")
    var textKey: String?
    @Option(help: "The longest line of JSON, in bytes, such as 64M. (default: 16.8M)") var maxLineBytes: ByteSize?

    func validate() throws {
        if let maxLineBytes, !DataOptions.lineBytes.contains(maxLineBytes.bytes) {
            let range = DataOptions.lineBytes
            throw ValidationError(
                "--max-line-bytes: expected \(range.lowerBound) to \(range.upperBound), found \(maxLineBytes.bytes).")
        }
    }

    /// What the library is asked for.
    var reading: DataOptions {
        var options = DataOptions()
        if let textKey { options.textKey = textKey }
        if let maxLineBytes { options.maximumLineBytes = maxLineBytes.bytes }
        return options
    }

    /// The documents at `path`, in tokens.
    /// - Parameter limit: the most tokens that are read.
    func documents(_ path: String, _ tokenizer: Tokenizer, limit: Int) throws -> DocumentTokens {
        let bar = ProgressBar("tokenising", total: 1, unit: .bytes)
        defer { bar.finish() }
        return try DocumentTokens(DataSource(path: path), tokenizer: tokenizer, options: reading, limit: limit) {
            try bar.update($0, of: $1)
        }
    }

    /// The first `limit` tokens of the text, or of the documents, at `path`.
    /// - Parameter special: whether a text gets the tokens with which the model's texts begin and end; documents always do.
    func tokens(_ path: String, _ tokenizer: Tokenizer, limit: Int, special: Bool) throws -> [Int32] {
        guard DataSource.isText(path) else { return try documents(path, tokenizer, limit: limit).tokens }
        return Array(try tokenizer.encode(TextFile.read(path), addSpecialTokens: special).prefix(limit))
    }

    /// What `--data` may name.
    static let names = ".txt, .jsonl, .ndjson (.zst, .gz) or .parquet, a folder or a pattern"
}
