/// The description at the end of a Parquet file (FileMetaData of parquet.thrift), as far as it concerns columns of text.
struct ParquetFooter {
    /// A line of the schema, which lists a tree depth first.
    private struct Element {
        var name = ""
        var type: Int?
        /// 0 required, 1 optional, 2 repeated.
        var repetition = 0
        var children = 0
    }

    /// A column: the parts of its path, the last of which it is itself.
    private struct Leaf {
        let parts: [Element]
        let element: Element
        var path: [String] { parts.map(\.name) }
        var name: String { path.joined(separator: ".") }
        /// How many of the parts are lists.
        var repetition: Int { parts.count { $0.repetition == 2 } }
        var typeName: String {
            let type = element.type ?? 0
            return ParquetFooter.types.indices.contains(type) ? ParquetFooter.types[type] : "type \(type)"
        }
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

    /// What the first of `names` that is there holds, in a file whose pages end before `end`. Names have dots between the parts
    /// of their paths.
    func content(_ names: [String], end: Int) throws -> (name: String, content: ParquetContent) {
        let leaves = try leaves()
        for name in names {
            if let leaf = leaves.first(where: { $0.name == name }) {
                guard leaf.element.type == Self.byteArray, leaf.repetition == 0 else {
                    throw unsupported(name, leaf.repetition > 0 ? "a list" : leaf.typeName)
                }
                return (name, .text(try column(leaf, end: end)))
            }
            if let messages = try messages(name, leaves.filter { $0.name.hasPrefix("\(name).") }, end: end) {
                return (name, messages)
            }
        }
        let found = leaves.prefix(20).map(\.name).joined(separator: ", ")
        throw DataError.missingText(
            file: file, place: .footer, key: names.first ?? "", found: "the columns \(found)")
    }

    /// A list called `name` of groups with fields of text, of which `leaves` are the columns; nil for other things.
    private func messages(_ name: String, _ leaves: [Leaf], end: Int) throws -> ParquetContent? {
        let depth = name.split(separator: ".", omittingEmptySubsequences: false).count
        var fields: [(field: String, column: ParquetColumn)] = []
        var levels = (list: 0, element: 0)
        for leaf in leaves where leaf.repetition > 0 {
            guard let list = leaf.parts.firstIndex(where: { $0.repetition == 2 }), list >= depth - 1 else { return nil }
            // A list is a repeated group around an element, which older writers left out.
            let hasElement = leaf.parts[list].children == 1
            let rest = leaf.parts.dropFirst(list + (hasElement ? 2 : 1))
            // Elements that are texts themselves are no messages.
            guard let field = rest.first else { return nil }
            guard leaf.repetition == 1, rest.count == 1 else {
                throw unsupported(leaf.name, "a list or a group within a message")
            }
            // Numbers and flags are nothing that templates write.
            guard leaf.element.type == Self.byteArray else { continue }
            fields.append((field.name, try column(leaf, end: end)))
            levels.element = leaf.parts.prefix(list + 1).count { $0.repetition != 0 }
            levels.list = leaf.parts.prefix(min(depth, list)).count { $0.repetition != 0 }
        }
        return fields.isEmpty ? nil : .messages(fields, definition: levels.list, elementDefinition: levels.element)
    }

    /// The column of `leaf` as a file whose pages end before `end` must describe it.
    private func column(_ leaf: Leaf, end: Int) throws -> ParquetColumn {
        var column = ParquetColumn(
            name: leaf.name, maximumRepetition: leaf.repetition,
            maximumDefinition: leaf.parts.count { $0.repetition != 0 })
        for (index, group) in groups.enumerated() {
            guard var found = group.chunks.first(where: { $0.path == leaf.path }), !found.isElsewhere else {
                throw malformed("row group \(index + 1)", "the column \(leaf.name) in this file", "none")
            }
            let isRight = leaf.repetition == 0 ? found.chunk.values == group.rows : found.chunk.values >= group.rows
            guard found.type == Self.byteArray, isRight else {
                throw malformed(
                    "row group \(index + 1), column \(leaf.name)", "\(group.rows) values of type BYTE_ARRAY",
                    "\(found.chunk.values) of type \(found.type)")
            }
            found.chunk.rows = group.rows
            // Without rows there are no pages, and their place means nothing.
            guard group.rows > 0 else {
                column.chunks.append(found.chunk)
                continue
            }
            found.chunk.start = min(found.dataStart, found.dictionaryStart ?? found.dataStart)
            // Pages lie between the leading and the closing mark.
            guard found.chunk.start >= 4, found.chunk.start <= end, found.chunk.size <= end - found.chunk.start else {
                throw malformed(
                    "row group \(index + 1), column \(leaf.name)", "pages inside the file's \(end) bytes of data",
                    "\(found.chunk.size) bytes from byte \(found.chunk.start)")
            }
            column.chunks.append(found.chunk)
        }
        return column
    }

    /// The columns, in their order.
    private func leaves() throws -> [Leaf] {
        /// The parts that lead to an element, each with the children that are still to come.
        var parents: [(element: Element, left: Int)] = []
        var leaves: [Leaf] = []
        for (index, element) in schema.enumerated() {
            while let last = parents.last, last.left == 0 { parents.removeLast() }
            guard index == 0 || !parents.isEmpty else { throw malformed("the schema", "one tree", "more elements") }
            if !parents.isEmpty { parents[parents.count - 1].left -= 1 }
            if element.type != nil {
                // The first element is the root, which has no part in paths.
                leaves.append(Leaf(parts: parents.dropFirst().map(\.element) + [element], element: element))
                continue
            }
            guard element.children > 0 || index == 0, parents.count < 64 else {
                throw malformed("the schema", "groups of at most 64 levels with members", "\(element.name)")
            }
            parents.append((element, element.children))
        }
        return leaves
    }

    private func unsupported(_ column: String, _ found: String) -> DataError {
        .unsupported(
            file: file, place: .footer, what: "column \(column)", found: found,
            supported: "a column of text (BYTE_ARRAY), or a list of messages with fields of text")
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
