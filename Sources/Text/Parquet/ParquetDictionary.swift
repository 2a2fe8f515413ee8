/// The values of a dictionary page.
struct ParquetDictionary {
    private let bytes: [UInt8]
    /// Where each value begins, and where the last one ends, lengths between them.
    private var ranges: [Range<Int>] = []

    var count: Int { ranges.count }

    /// Reads `count` values, a length of four bytes before each.
    init(_ bytes: [UInt8], count: Int, file: String, place: DataPlace) throws {
        self.bytes = bytes
        var position = 0
        for _ in 0..<count {
            let length = try ParquetPage.length(bytes, position, file, place)
            ranges.append((position + 4)..<(position + 4 + length))
            position += 4 + length
        }
    }

    /// A value; nil when there is none with this index.
    subscript(index: UInt32) -> [UInt8]? { index < ranges.count ? Array(bytes[ranges[Int(index)]]) : nil }
}
