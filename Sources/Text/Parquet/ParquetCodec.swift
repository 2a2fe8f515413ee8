import CCompression

/// How the pages of a Parquet column are compressed.
enum ParquetCodec: Int, CaseIterable {
    case uncompressed = 0
    case snappy = 1
    case gzip = 2
    case brotli = 4
    case lz4 = 5
    case zstd = 6
    case lz4Raw = 7

    /// The name of a codec, also of those that are not read.
    static func name(_ number: Int) -> String {
        number == 3 ? "LZO" : "codec \(number)"
    }

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
        case .gzip:
            return try decompress(input, size, file, place, ("libz.so.1", "zlib1g"), moult_gzip_decompress)
        case .brotli:
            return try decompress(
                input, size, file, place, ("libbrotlidec.so.1", "libbrotli1"), moult_brotli_decompress)
        case .lz4Raw:
            return try decompress(input, size, file, place, Self.lz4Library, moult_lz4_decompress)
        case .lz4:
            // Some writers left the frames of Hadoop out.
            guard let blocks = HadoopBlocks(input, size: size) else {
                return try ParquetCodec.lz4Raw.decompress(input, size: size, file: file, place: place)
            }
            return try blocks.blocks.reduce(into: []) { output, block in
                output += try ParquetCodec.lz4Raw.decompress(block.bytes, size: block.size, file: file, place: place)
            }
        case .zstd:
            return try Zstandard.loaded(for: file).decompress(input, size: size, file: file, place: place)
        }
    }

    private static let lz4Library = (name: "liblz4.so.1", package: "liblz4-1")
    private typealias Decompress = (UnsafeMutableRawPointer?, Int, UnsafeRawPointer?, Int) -> Int

    private func decompress(
        _ input: ArraySlice<UInt8>, _ size: Int, _ file: String, _ place: DataPlace,
        _ library: (name: String, package: String), _ body: Decompress
    ) throws -> [UInt8] {
        var made = 0
        let output = [UInt8](unsafeUninitializedCapacity: max(size, 1)) { buffer, count in
            made = input.withUnsafeBytes { body(buffer.baseAddress, size, $0.baseAddress, $0.count) }
            count = made == size ? size : 0
        }
        guard made != Int(MOULT_NO_LIBRARY) else {
            throw DataError.missingLibrary(file: file, library: library.name, package: library.package)
        }
        guard made == size else {
            throw DataError.compression(
                file: file, place: place, codec: "\(self)", reason: "it does not make \(size) bytes")
        }
        return output
    }
}
