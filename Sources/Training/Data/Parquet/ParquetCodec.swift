/// How the pages of a Parquet column are compressed.
enum ParquetCodec: Int, CaseIterable {
    case uncompressed = 0
    case snappy = 1
    case zstd = 6

    /// Decompresses a page, or a part of one, to exactly `size` bytes.
    func decompress(_ input: ArraySlice<UInt8>, size: Int, file: String, place: DataPlace) throws -> [UInt8] {
        switch self {
        case .uncompressed:
            guard input.count == size else {
                throw DataError.malformed(
                    file: file, place: place, part: "an uncompressed page", expected: "\(size) bytes",
                    found: "\(input.count)")
            }
            return Array(input)
        case .snappy:
            guard let output = Snappy.decompress(input, size: size) else {
                throw DataError.compression(
                    file: file, place: place, codec: "snappy", reason: "it does not make \(size) bytes")
            }
            return output
        case .zstd:
            return try Zstandard.loaded(for: file).decompress(input, size: size, file: file, place: place)
        }
    }
}
