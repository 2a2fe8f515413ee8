/// Decompresses Snappy's raw format (google/snappy, format_description.txt), the usual one of Parquet's.
///
/// Written here because the format is these few lines, while the library is one more thing to install whose interface
/// for C allocates by a length that the data itself claims.
package enum Snappy {
    /// Decompresses `input` to exactly `size` bytes; nil when it is damaged.
    package static func decompress(_ input: ArraySlice<UInt8>, size: Int) -> [UInt8]? {
        // The longest copy makes 64 bytes of 3: no sound input grows more than that.
        guard size / 22 <= input.count else { return nil }
        var isSound = false
        let output = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            isSound = input.withUnsafeBytes { decompress($0, into: buffer, size: size) }
            count = isSound ? size : 0
        }
        return isSound ? output : nil
    }

    private static func decompress(
        _ input: UnsafeRawBufferPointer, into output: UnsafeMutableBufferPointer<UInt8>, size: Int
    ) -> Bool {
        var (position, made) = (0, 0)
        /// An integer of `count` bytes; nil at the end of the input.
        func integer(_ count: Int) -> Int? {
            guard count <= input.count - position else { return nil }
            var value = 0
            for index in 0..<count { value |= Int(input[position + index]) << (8 * index) }
            position += count
            return value
        }
        var length = 0
        for shift in stride(from: 0, to: 35, by: 7) {
            guard let byte = integer(1) else { return false }
            length |= (byte & 0x7F) << shift
            if byte & 0x80 == 0 { break }
            if shift == 28 { return false }
        }
        guard length == size else { return false }
        while position < input.count {
            guard let tag = integer(1) else { return false }
            var count = tag >> 2 + 1
            let distance: Int?
            switch tag & 3 {
            case 0:
                if count > 60 {
                    guard let long = integer(count - 60) else { return false }
                    count = long + 1
                }
                guard count <= input.count - position, count <= size - made else { return false }
                for index in 0..<count { output[made + index] = input[position + index] }
                position += count
                made += count
                continue
            case 1:
                count = tag >> 2 & 7 + 4
                distance = integer(1).map { (tag >> 5) << 8 | $0 }
            case 2: distance = integer(2)
            default: distance = integer(4)
            }
            guard let distance, distance > 0, distance <= made, count <= size - made else { return false }
            // One byte after another: what is copied may be made by the copy itself.
            for index in made..<(made + count) { output[index] = output[index - distance] }
            made += count
        }
        return made == size
    }
}
