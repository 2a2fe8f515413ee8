/// The kinds of data files, told by how their names end.
package enum DataFormat: String, CaseIterable {
    case text = ".txt"
    case lines = ".jsonl"
    /// Another name of the same.
    case delimitedLines = ".ndjson"
    case parquet = ".parquet"

    /// How the bytes of a file of text are compressed.
    private enum Compression: String, CaseIterable { case zstandard = ".zst", gzip = ".gz" }

    static let list =
        ".txt, .jsonl, .ndjson (these also with \(Compression.allCases.map(\.rawValue).joined(separator: " or "))) or "
        + ".parquet"

    /// The format of the file at `path`; nil for other names.
    package init?(path: String) {
        guard let format = Self.parsing(path)?.format else { return nil }
        self = format
    }

    private static func parsing(_ path: String) -> (format: DataFormat, compression: Compression?)? {
        let name = path.lowercased()
        let compression = Compression.allCases.first { name.hasSuffix($0.rawValue) }
        let bare = name.dropLast(compression?.rawValue.count ?? 0)
        guard let format = allCases.first(where: { bare.hasSuffix($0.rawValue) }) else { return nil }
        // Parquet compresses its pages itself.
        return format == .parquet && compression != nil ? nil : (format, compression)
    }

    /// Opens the file at `path`.
    /// - Parameter chat: what writes conversations as text; without it they are refused.
    package static func reader(
        of path: String, options: DataOptions, chat: ConversationText?
    ) throws -> any DocumentReader {
        guard let (format, compression) = parsing(path) else {
            throw DataError.unknownFormat(file: path, supported: list)
        }
        func source(joinsLineEnds: Bool) throws -> TextSource {
            let file = try FileSource(path: path)
            let bytes: any ByteSource =
                switch compression {
                case .zstandard: CompressedSource(file, try ZstandardStream(for: path))
                case .gzip: CompressedSource(file, try GzipStream(for: path))
                case nil: file
                }
            return TextSource(bytes, joinsLineEnds: joinsLineEnds)
        }
        return switch format {
        case .text: TextReader(try source(joinsLineEnds: true), options)
        case .lines, .delimitedLines: JSONLinesReader(try source(joinsLineEnds: false), options, chat)
        case .parquet: try ParquetReader(try RandomAccessFile(path: path), keys: options.textKeys, chat)
        }
    }
}
