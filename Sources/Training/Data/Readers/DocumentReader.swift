/// Reads the documents of one file, in memory that does not grow with the file.
package protocol DocumentReader {
    /// The next document or part of one; nil at the end.
    ///
    /// After an error, the next call goes on with what follows the damage; where nothing can be read behind it, that
    /// call returns nil.
    mutating func next() throws -> DocumentPiece?

    /// Bytes of the file that are read, for progress.
    var bytesRead: Int { get }
}

/// A document, or a part of one.
package struct DocumentPiece: Equatable {
    /// UTF-8, as the file has it.
    package var text: [UInt8]
    /// Where the piece begins.
    package var place: DataPlace
    /// Whether the document ends with this piece.
    package var endsDocument = true
}

/// The kinds of data files, told by how their names end.
package enum DataFormat: String, CaseIterable {
    case text = ".txt"
    case compressedText = ".txt.zst"
    case lines = ".jsonl"
    case compressedLines = ".jsonl.zst"
    case parquet = ".parquet"

    static let list = allCases.map(\.rawValue).joined(separator: ", ")

    /// The format of the file at `path`; nil for other names.
    init?(path: String) {
        guard let format = Self.allCases.first(where: { path.lowercased().hasSuffix($0.rawValue) }) else { return nil }
        self = format
    }

    /// Opens the file at `path`.
    package static func reader(of path: String, options: DataOptions) throws -> any DocumentReader {
        switch DataFormat(path: path) {
        case .text: TextReader(TextSource(try FileSource(path: path), joinsLineEnds: true), options)
        case .compressedText:
            TextReader(TextSource(try ZstandardSource(FileSource(path: path)), joinsLineEnds: true), options)
        case .lines: JSONLinesReader(TextSource(try FileSource(path: path), joinsLineEnds: false), options)
        case .compressedLines:
            JSONLinesReader(
                TextSource(try ZstandardSource(FileSource(path: path)), joinsLineEnds: false), options)
        case .parquet: try ParquetReader(try RandomAccessFile(path: path), column: options.textKey)
        case nil: throw DataError.unknownFormat(file: path, supported: list)
        }
    }
}
