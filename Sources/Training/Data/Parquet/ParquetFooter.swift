/// The description at the end of a Parquet file (FileMetaData of parquet.thrift), as far as it concerns one column.
struct ParquetFooter {
    /// A line of the schema, which lists a tree depth first.
    private struct Element {
        var name = ""
        var type: Int?
        /// 0 required, 1 optional, 2 repeated.
        var repetition = 0
        var children = 0
    }

    private struct Chunk {
        var path: [String] = []
        var type = 0
        var dataStart = 0
        var dictionaryStart: Int?
        var isElsewhere = false
        var chunk = ParquetChunk()
    }

    private struct Group {
        var rows = 0
        var chunks: [Chunk] = []
    }

    private static let byteArray = 6
    private static let types = [
        "BOOLEAN", "INT32", "INT64", "INT96", "FLOAT", "DOUBLE", "BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY",
    ]

    private let file: String
    private var schema: [Element] = []
    private var groups: [Group] = []

    /// Parses the footer.
    init(_ bytes: [UInt8], file: String) throws {
        self.file = file
        var reader = ThriftReader(bytes, file: file, place: .footer)
        var (schema, groups): ([Element], [Group]) = ([], [])
        try reader.structure { reader, id, kind in
            switch id {
            case 2: try reader.list(kind, of: .structure) { schema.append(try Self.element(&$0)) }
            case 4: try reader.list(kind, of: .structure) { groups.append(try Self.group(&$0)) }
            default: try reader.skip(kind)
            }
        }
        (self.schema, self.groups) = (schema, groups)
    }

    /// The column called `name`, with dots between the parts of its path, as a file whose pages end before `end` must
    /// describe it.
    func column(_ name: String, end: Int) throws -> ParquetColumn {
        let (path, maximumDefinition) = try find(name)
        var column = ParquetColumn(maximumDefinition: maximumDefinition)
        for (index, group) in groups.enumerated() {
            guard var found = group.chunks.first(where: { $0.path == path }), !found.isElsewhere else {
                throw malformed("row group \(index + 1)", "the column \(name) in this file", "none")
            }
            guard found.type == Self.byteArray, found.chunk.values == group.rows else {
                throw malformed(
                    "row group \(index + 1), column \(name)", "\(group.rows) values of type BYTE_ARRAY",
                    "\(found.chunk.values) of type \(found.type)")
            }
            // Without rows there are no pages, and their place means nothing.
            guard group.rows > 0 else {
                column.chunks.append(found.chunk)
                continue
            }
            found.chunk.start = min(found.dataStart, found.dictionaryStart ?? found.dataStart)
            // Pages lie between the leading and the closing mark.
            guard found.chunk.start >= 4, found.chunk.start <= end, found.chunk.size <= end - found.chunk.start else {
                throw malformed(
                    "row group \(index + 1), column \(name)", "pages inside the file's \(end) bytes of data",
                    "\(found.chunk.size) bytes from byte \(found.chunk.start)")
            }
            column.chunks.append(found.chunk)
        }
        return column
    }

    /// The path and the greatest definition level of a column of text.
    private func find(_ name: String) throws -> (path: [String], maximumDefinition: Int) {
        /// The parts that lead to an element, each with the children that are still to come.
        var parents: [(element: Element, left: Int)] = []
        var names: [String] = []
        for (index, element) in schema.enumerated() {
            while let last = parents.last, last.left == 0 { parents.removeLast() }
            guard index == 0 || !parents.isEmpty else { throw malformed("the schema", "one tree", "more elements") }
            if !parents.isEmpty { parents[parents.count - 1].left -= 1 }
            guard let type = element.type else {
                guard element.children > 0 || index == 0, parents.count < 64 else {
                    throw malformed("the schema", "groups of at most 64 levels with members", "\(element.name)")
                }
                parents.append((element, element.children))
                continue
            }
            // The first element is the root, which has no part in paths.
            let parts = parents.dropFirst().map(\.element) + [element]
            let path = parts.map(\.name)
            names.append(path.joined(separator: "."))
            guard names.last == name else { continue }
            guard type == Self.byteArray, !parts.contains(where: { $0.repetition == 2 }) else {
                let found = Self.types.indices.contains(type) ? Self.types[type] : "type \(type)"
                throw DataError.unsupported(
                    file: file, place: .footer, what: "column \(name)",
                    found: type == Self.byteArray ? "a list" : found, supported: "a column of text (BYTE_ARRAY)")
            }
            return (path, parts.count { $0.repetition == 1 })
        }
        throw DataError.missingText(
            file: file, place: .footer, key: name, found: "the columns \(names.prefix(20).joined(separator: ", "))")
    }

    private func malformed(_ part: String, _ expected: String, _ found: String) -> DataError {
        .malformed(file: file, place: .footer, part: part, expected: expected, found: found)
    }

    // MARK: Structures

    private static func element(_ reader: inout ThriftReader) throws -> Element {
        var element = Element()
        try reader.structure { reader, id, kind in
            switch id {
            case 1: element.type = try reader.integer(kind)
            case 3: element.repetition = try reader.integer(kind)
            case 4: element.name = try reader.string(kind)
            case 5: element.children = try reader.count(kind, "the children of a schema element")
            default: try reader.skip(kind)
            }
        }
        return element
    }

    private static func group(_ reader: inout ThriftReader) throws -> Group {
        var group = Group()
        try reader.structure { reader, id, kind in
            switch id {
            case 1: try reader.list(kind, of: .structure) { group.chunks.append(try chunk(&$0)) }
            case 3: group.rows = try reader.count(kind, "the rows of a row group")
            default: try reader.skip(kind)
            }
        }
        return group
    }

    private static func chunk(_ reader: inout ThriftReader) throws -> Chunk {
        var chunk = Chunk()
        try reader.structure { reader, id, kind in
            switch id {
            case 1:
                chunk.isElsewhere = true
                try reader.skip(kind)
            case 3:
                try reader.expect(kind, .structure)
                try reader.structure { reader, id, kind in
                    switch id {
                    case 1: chunk.type = try reader.integer(kind)
                    case 3: try reader.list(kind, of: .binary) { chunk.path.append(try $0.string(.binary)) }
                    case 4: chunk.chunk.codec = try reader.integer(kind)
                    case 5: chunk.chunk.values = try reader.count(kind, "the values of a column")
                    case 7: chunk.chunk.size = try reader.count(kind, "the size of a column")
                    case 9: chunk.dataStart = try reader.count(kind, "the place of the data pages")
                    case 11: chunk.dictionaryStart = try reader.count(kind, "the place of the dictionary page")
                    default: try reader.skip(kind)
                    }
                }
            default: try reader.skip(kind)
            }
        }
        // Some writers say 0 for "there is none".
        if chunk.dictionaryStart == 0 { chunk.dictionaryStart = nil }
        return chunk
    }
}
