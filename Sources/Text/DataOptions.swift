import Foundation

/// How data is read and tokenised.
public struct DataOptions: Sendable, Equatable {
    /// What to do with a record or a file that cannot be read.
    public enum ErrorPolicy: String, Sendable, Codable, CaseIterable {
        /// Stop with its error.
        case refuse
        /// Leave it out, and count it in ``DataStatistics``.
        case skip
    }

    /// What to do with a record or a file that cannot be read.
    public var onError = ErrorPolicy.refuse
    /// The key of a JSON line, and the column of a Parquet file, that holds the text or a list of messages. A dot leads into
    /// a Parquet group. Where there is no ``defaultTextKey``, `messages` and `conversations` are looked for too.
    public var textKey = Self.defaultTextKey
    /// The key of plain text.
    public static let defaultTextKey = "text"
    /// What parts the documents of a .txt file; nil makes each file one document.
    public var separator: String?
    /// The most text that is tokenised at once, bytes. A longer document is cut at a line's end or a space, and stays
    /// one document.
    public var maximumPieceBytes = 1 << 20
    /// The longest line of JSON, bytes.
    public var maximumLineBytes = 16 << 20
    /// What ``maximumLineBytes`` may be.
    public static let lineBytes = 64...1 << 30
    /// Tokens of one shard file.
    public var shardTokens = 16 << 20
    /// Threads that tokenise. The result does not depend on it.
    public var threads = ProcessInfo.processInfo.activeProcessorCount

    /// The defaults: errors stop, and a .txt file is one document.
    public init() {}

    /// The keys that may hold the text; the first that is there does.
    var textKeys: [String] { textKey == Self.defaultTextKey ? [textKey, "messages", "conversations"] : [textKey] }

    /// Refuses values that no reader can work with.
    func validate() throws {
        let ranges: [(name: String, value: Int, range: ClosedRange<Int>)] = [
            ("maximumPieceBytes", maximumPieceBytes, 64...1 << 30),
            ("maximumLineBytes", maximumLineBytes, Self.lineBytes), ("shardTokens", shardTokens, 16...1 << 30),
            ("threads", threads, 1...1024),
        ]
        for (name, value, range) in ranges where !range.contains(value) {
            throw DataError.option(
                name: name, expected: "\(range.lowerBound) to \(range.upperBound)", found: "\(value)")
        }
        if separator?.isEmpty == true {
            throw DataError.option(name: "separator", expected: "at least one character", found: "none")
        }
    }
}
