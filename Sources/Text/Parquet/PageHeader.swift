/// What stands before a page of a Parquet file (PageHeader of parquet.thrift).
struct PageHeader {
    enum Kind: Int { case data, index, dictionary, dataV2 }

    var kind = Kind.index
    /// Bytes of the page behind the header, before and after decompression.
    var compressedSize = 0
    var size = 0
    var values = 0
    var encoding = 0
    /// Version 1: how levels are written.
    var definitionEncoding = 3
    var repetitionEncoding = 3
    /// Version 2: the bytes of both kinds of level, which are never compressed.
    var definitionSize = 0
    var repetitionSize = 0
    /// Version 2: whether the values are compressed.
    var isCompressed = true

    init(_ reader: inout ThriftReader) throws {
        var header = PageHeader()
        try reader.structure { reader, id, kind in
            switch id {
            case 1:
                let found = try reader.integer(kind)
                guard let kind = Kind(rawValue: found) else {
                    throw reader.malformed("the page's type", "0 to 3", "\(found)")
                }
                header.kind = kind
            case 2: header.size = try reader.count(kind, "the page's size")
            case 3: header.compressedSize = try reader.count(kind, "the page's compressed size")
            case 5: try header.readData(&reader, kind)
            case 7: try header.readDictionary(&reader, kind)
            case 8: try header.readDataV2(&reader, kind)
            default: try reader.skip(kind)
            }
        }
        self = header
    }

    private init() {}

    private mutating func readData(_ reader: inout ThriftReader, _ kind: ThriftReader.Kind) throws {
        try reader.expect(kind, .structure)
        try reader.structure { reader, id, kind in
            switch id {
            case 1: values = try reader.count(kind, "the page's values")
            case 2: encoding = try reader.integer(kind)
            case 3: definitionEncoding = try reader.integer(kind)
            case 4: repetitionEncoding = try reader.integer(kind)
            default: try reader.skip(kind)
            }
        }
    }

    private mutating func readDictionary(_ reader: inout ThriftReader, _ kind: ThriftReader.Kind) throws {
        try reader.expect(kind, .structure)
        try reader.structure { reader, id, kind in
            switch id {
            case 1: values = try reader.count(kind, "the dictionary's values")
            case 2: encoding = try reader.integer(kind)
            default: try reader.skip(kind)
            }
        }
    }

    private mutating func readDataV2(_ reader: inout ThriftReader, _ kind: ThriftReader.Kind) throws {
        try reader.expect(kind, .structure)
        try reader.structure { reader, id, kind in
            switch id {
            case 1: values = try reader.count(kind, "the page's values")
            case 4: encoding = try reader.integer(kind)
            case 5: definitionSize = try reader.count(kind, "the size of definition levels")
            case 6: repetitionSize = try reader.count(kind, "the size of repetition levels")
            case 7: isCompressed = try reader.bool(kind)
            default: try reader.skip(kind)
            }
        }
    }
}
