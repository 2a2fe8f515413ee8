/// A column of text in a Parquet file, and where its values are.
struct ParquetColumn {
    /// The definition level of a value that is there: how many of its path's parts may be missing.
    var maximumDefinition = 0
    /// One for each row group.
    var chunks: [ParquetChunk] = []
}

/// A column's values in one row group: pages one behind another.
struct ParquetChunk {
    var codec = 0
    var values = 0
    /// Where the first page begins, and how many bytes the pages take.
    var start = 0
    var size = 0
}
