/// A column of text in a Parquet file, and where its values are.
struct ParquetColumn {
    /// Its path, with dots between the parts.
    var name = ""
    /// How many parts of its path are lists: 0 or 1.
    var maximumRepetition = 0
    /// The definition level of a value that is there: how many of its path's parts may be missing or are lists.
    var maximumDefinition = 0
    /// One for each row group.
    var chunks: [ParquetChunk] = []
}

/// A column's values in one row group: pages one behind another.
struct ParquetChunk {
    var codec = 0
    /// Of a column within a list there are more values than rows.
    var values = 0
    var rows = 0
    /// Where the first page begins, and how many bytes the pages take.
    var start = 0
    var size = 0
}

/// A value as a page has it, with its levels (parquet-format, "Nested Encoding").
struct ParquetValue {
    /// 0 where it begins a row, 1 where it goes on with a list.
    var repetition = 0
    /// How many of the parts of its path that may be missing are there.
    var definition = 0
    /// nil for one that is missing.
    var bytes: [UInt8]?
}

/// What holds the text of a Parquet file.
enum ParquetContent {
    case text(ParquetColumn)
    /// A list of messages: a column for each field of text. `definition` is the level from which on there is a list, and
    /// `elementDefinition` that from which on it has an element.
    case messages([(field: String, column: ParquetColumn)], definition: Int, elementDefinition: Int)

    var columns: [ParquetColumn] {
        switch self {
        case .text(let column): [column]
        case .messages(let fields, _, _): fields.map(\.column)
        }
    }
}
