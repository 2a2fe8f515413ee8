/// Reads one column of a Parquet file, a page at a time.
struct ParquetColumnReader {
    /// The largest page that is read, bytes. Writers make pages of about 1 MiB.
    static let maximumPageSize = 256 << 20
    /// The most values of a page; writers stop at some ten thousand.
    static let maximumPageValues = 1 << 24
    private static let maximumHeaderSize = 1 << 20

    private let file: RandomAccessFile
    private let column: ParquetColumn
    /// The row group being read, its pages and values read so far, and where its next page begins.
    private var group = 0
    private var pages = 0
    private var values = 0
    private var position = 0
    private var dictionary: ParquetDictionary?
    private var page: ParquetPage?
    /// The place behind the furthest page that was read.
    private(set) var bytesRead = 0

    init(_ file: RandomAccessFile, _ column: ParquetColumn) {
        (self.file, self.column) = (file, column)
        start(group: 0)
    }

    /// Goes to the beginning of a row group.
    mutating func start(group: Int) {
        self.group = group
        (pages, values, dictionary, page) = (0, 0, nil, nil)
        position = group < column.chunks.count ? column.chunks[group].start : file.size
    }

    /// The row group's next value; nil behind the last.
    mutating func next() throws -> ParquetValue? {
        guard values < column.chunks[group].values else { return nil }
        while page?.left ?? 0 == 0 { try readPage() }
        values += 1
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
            guard header.values <= chunk.values - values else {
                throw malformed(place, "values", "at most \(chunk.values - values)", "\(header.values)")
            }
            let bytes =
                header.kind == .data
                ? try codec.decompress(body[...], size: header.size, file: file.path, place: place)
                : try decompressV2(header, body, codec, place)
            page = try ParquetPage(
                header, bytes: bytes, column: column, dictionary: dictionary, file: file.path, place: place)
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
