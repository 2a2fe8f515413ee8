/// The kinds of data files, told by how their names end.
package enum DataFormat: String, CaseIterable {
    case text = ".txt"
    case lines = ".jsonl"
    /// Another name of the same.
    case delimitedLines = ".ndjson"
    case parquet = ".parquet"

    static let list =
        ".txt, .jsonl, .ndjson (these also with \(Compression.allCases.map(\.rawValue).joined(separator: " or "))) or "
        + ".parquet"

    /// The format of the file at `path`; nil for other names.
    package init?(path: String) {
        let name = path.lowercased(), compression = Compression(path: path)
        let bare = name.dropLast(compression?.rawValue.count ?? 0)
        // Parquet compresses its pages itself.
        guard let format = Self.allCases.first(where: { bare.hasSuffix($0.rawValue) }),
            format != .parquet || compression == nil
        else { return nil }
        self = format
    }

    /// Opens the file at `path`.
    /// - Parameter chat: what writes conversations as text; without it they are refused.
    package static func reader(
        of path: String, options: DataOptions, chat: ConversationText?
    ) throws -> any DocumentReader {
        guard let format = DataFormat(path: path) else {
            throw DataError.unknownFormat(file: path, supported: list)
        }
        func source(joinsLineEnds: Bool) throws -> TextSource {
            TextSource(try Compression.source(of: path), joinsLineEnds: joinsLineEnds)
        }
        return switch format {
        case .text: TextReader(try source(joinsLineEnds: true), options)
        case .lines, .delimitedLines: JSONLinesReader(try source(joinsLineEnds: false), options, chat)
        case .parquet: try ParquetReader(try RandomAccessFile(path: path), keys: options.textKeys, chat)
        }
    }
}
