/// The frames in which Hadoop writes LZ4: before each block its length after and before decompression, four bytes each, the most
/// significant first (parquet-format, "LZ4").
struct HadoopBlocks {
    /// Compressed bytes, and what they make.
    private(set) var blocks: [(bytes: ArraySlice<UInt8>, size: Int)] = []

    /// Reads frames that make `size` bytes together; nil where `input` has no such frames.
    init?(_ input: ArraySlice<UInt8>, size: Int) {
        var (rest, left) = (input, size)
        while !rest.isEmpty {
            guard let made = Self.number(&rest), let count = Self.number(&rest), made <= left, count <= rest.count
            else { return nil }
            blocks.append((rest.prefix(count), made))
            (rest, left) = (rest.dropFirst(count), left - made)
        }
        guard left == 0 else { return nil }
    }

    private static func number(_ bytes: inout ArraySlice<UInt8>) -> Int? {
        guard bytes.count >= 4 else { return nil }
        defer { bytes = bytes.dropFirst(4) }
        return bytes.prefix(4).reduce(0) { $0 << 8 | Int($1) }
    }
}
