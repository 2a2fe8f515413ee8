/// Reads one column of text of a Parquet file (parquet-format 2), a page at a time: a row is a document.
struct ParquetReader: DocumentReader {
    /// The largest page and the largest footer that are read, bytes. Writers make pages of about 1 MiB.
    static let maximumPageSize = 256 << 20
    static let maximumFooterSize = 16 << 20
    /// The most values of a page; writers stop at some ten thousand.
    static let maximumPageValues = 1 << 24
    private static let maximumHeaderSize = 1 << 20

    private let file: RandomAccessFile
    private let name: String
    private let column: ParquetColumn
    /// The row group being read, its pages read so far, rows given out, and where its next page begins.
    private var group = 0
    private var pages = 0
    private var row = 0
    private var position = 0
    private var dictionary: ParquetDictionary?
    private var page: ParquetPage?
    private(set) var bytesRead = 0

    /// Opens a file.
    /// - Parameter column: the column's name, with dots between the parts of its path.
    init(_ file: RandomAccessFile, column name: String) throws {
        self.file = file
        self.name = name
        let trailer = try file.read(8, at: max(0, file.size - 8), part: "the footer", place: .footer)
        let leader = try file.read(4, at: 0, part: "the mark PAR1", place: .file)
        guard leader == Array("PAR1".utf8), trailer[4...].elementsEqual("PAR1".utf8), file.size >= 12 else {
            guard !trailer[4...].elementsEqual("PARE".utf8) else {
                throw DataError.unsupported(
                    file: file.path, place: .footer, what: "Parquet file", found: "an encrypted one",
                    supported: "files that are not encrypted")
            }
            throw DataError.malformed(
                file: file.path, place: .file, part: "first and last bytes", expected: "PAR1", found: "others")
        }
        let size = trailer[..<4].reversed().reduce(0) { $0 << 8 | Int($1) }
        guard size <= Self.maximumFooterSize else {
            throw DataError.tooLarge(
                file: file.path, place: .footer, part: "its length in bytes", limit: Self.maximumFooterSize, found: size
            )
        }
        let start = file.size - 8 - size
        guard start >= 4 else {
            throw DataError.truncated(
                file: file.path, place: .footer, part: "the footer", needed: size, available: file.size - 12)
        }
        let footer = try file.read(size, at: start, part: "the footer", place: .footer)
        column = try ParquetFooter(footer, file: file.path).column(name, end: start)
        position = column.chunks.first?.start ?? 0
    }

    mutating func next() throws -> DocumentPiece? {
        while group < column.chunks.count {
            guard row < column.chunks[group].values else {
                startNextGroup()
                continue
            }
            let text: [UInt8]?
            do {
                text = try nextValue()
            } catch {
                // The rows behind damage cannot be told apart: go on with the next group.
                startNextGroup()
                throw error
            }
            row += 1
            let place = DataPlace.row(rowGroup: group + 1, row: row)
            guard let text else {
                throw DataError.missingText(file: file.path, place: place, key: name, found: "null")
            }
            return DocumentPiece(text: text, place: place)
        }
        return nil
    }

    private mutating func startNextGroup() {
        group += 1
        (pages, row, dictionary, page) = (0, 0, nil, nil)
        position = group < column.chunks.count ? column.chunks[group].start : file.size
    }

    /// The row group's next value; nil for one that is missing.
    private mutating func nextValue() throws -> [UInt8]? {
        while page?.left ?? 0 == 0 { try readPage() }
        return try page?.next()
    }

    private mutating func readPage() throws {
        pages += 1
        let place = DataPlace.page(rowGroup: group + 1, page: pages)
        let chunk = column.chunks[group]
        let header = try readHeader(end: chunk.start + chunk.size, place)
        let body = try file.read(header.compressedSize, at: position, part: "the page", place: place)
        position += header.compressedSize
        bytesRead = max(bytesRead, position)
        guard let codec = ParquetCodec(rawValue: chunk.codec) else {
            throw DataError.unsupported(
                file: file.path, place: place, what: "compression", found: ParquetCodec.name(chunk.codec),
                supported: ParquetCodec.allCases.map { "\($0)" }.joined(separator: ", "))
        }
        switch header.kind {
        case .index: break
        case .dictionary:
            guard dictionary == nil, page == nil, header.encoding == 0 || header.encoding == 2 else {
                throw malformed(place, "a dictionary", "one, plain, before the data", "encoding \(header.encoding)")
            }
            let bytes = try codec.decompress(body[...], size: header.size, file: file.path, place: place)
            dictionary = try ParquetDictionary(bytes, count: header.values, file: file.path, place: place)
        case .data, .dataV2:
            guard header.values <= chunk.values - row else {
                throw malformed(place, "values", "at most \(chunk.values - row)", "\(header.values)")
            }
            let bytes =
                header.kind == .data
                ? try codec.decompress(body[...], size: header.size, file: file.path, place: place)
                : try decompressV2(header, body, codec, place)
            page = try ParquetPage(
                header, bytes: bytes, maximumDefinition: column.maximumDefinition, dictionary: dictionary,
                file: file.path, place: place)
        }
    }

    /// Levels as they are, and the values decompressed.
    private func decompressV2(
        _ header: PageHeader, _ body: [UInt8], _ codec: ParquetCodec, _ place: DataPlace
    ) throws -> [UInt8] {
        let levels = header.definitionSize.addingReportingOverflow(header.repetitionSize)
        guard !levels.overflow, levels.partialValue <= body.count, levels.partialValue <= header.size else {
            throw malformed(
                place, "the size of levels", "at most \(min(body.count, header.size))",
                "\(header.definitionSize) and \(header.repetitionSize)")
        }
        let values = body[levels.partialValue...]
        // An empty part need not be compressed.
        guard header.isCompressed, !values.isEmpty else {
            return try ParquetCodec.uncompressed.decompress(body[...], size: header.size, file: file.path, place: place)
        }
        return try body[..<levels.partialValue]
            + codec.decompress(values, size: header.size - levels.partialValue, file: file.path, place: place)
    }

    /// Reads a page's header and leaves `position` behind it. The page lies before `end`.
    private mutating func readHeader(end: Int, _ place: DataPlace) throws -> PageHeader {
        // Most headers take some 50 bytes, but one may hold the least and the greatest value.
        var window = 1 << 10
        while true {
            let size = min(window, end - position)
            let bytes = try file.read(size, at: position, part: "a page's header", place: place)
            var reader = ThriftReader(bytes, file: file.path, place: place)
            let header: PageHeader
            do {
                header = try PageHeader(&reader)
            } catch DataError.truncated where size == window && window < Self.maximumHeaderSize {
                window *= 8
                continue
            }
            position += reader.position
            try check(header, available: end - position, place)
            return header
        }
    }

    /// Refuses sizes that no sound page has, before memory is taken for it.
    private func check(_ header: PageHeader, available: Int, _ place: DataPlace) throws {
        guard header.compressedSize <= available else {
            throw DataError.truncated(
                file: file.path, place: place, part: "the page", needed: header.compressedSize, available: available)
        }
        guard max(header.size, header.compressedSize) <= Self.maximumPageSize else {
            throw DataError.tooLarge(
                file: file.path, place: place, part: "the page's size in bytes", limit: Self.maximumPageSize,
                found: max(header.size, header.compressedSize))
        }
        guard header.values <= Self.maximumPageValues else {
            throw DataError.tooLarge(
                file: file.path, place: place, part: "the page's number of values", limit: Self.maximumPageValues,
                found: header.values)
        }
        guard header.definitionSize <= header.size, header.repetitionSize <= header.size - header.definitionSize else {
            throw malformed(
                place, "the size of levels", "at most \(header.size)",
                "\(header.definitionSize) and \(header.repetitionSize)")
        }
    }

    private func malformed(_ place: DataPlace, _ part: String, _ expected: String, _ found: String) -> DataError {
        .malformed(file: file.path, place: place, part: part, expected: expected, found: found)
    }
}
