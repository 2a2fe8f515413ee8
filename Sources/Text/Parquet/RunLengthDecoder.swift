/// Reads Parquet's hybrid of run-length and bit-packed integers, in which levels and dictionary indices are written.
struct RunLengthDecoder {
    private enum Run { case repeated(UInt32), packed(bit: Int) }

    private let bytes: [UInt8]
    private let end: Int
    private let width: Int
    private var position: Int
    private var run = Run.repeated(0)
    /// Values that the run still has.
    private var left: UInt64 = 0

    /// Reads `range` of `bytes`, integers of `width` bits; nil where that cannot be.
    init?(_ bytes: [UInt8], _ range: Range<Int>, width: Int) {
        guard range.lowerBound >= 0, range.upperBound <= bytes.count, (0...32).contains(width) else { return nil }
        self.bytes = bytes
        self.width = width
        (position, end) = (range.lowerBound, range.upperBound)
    }

    /// The next integer; nil when there is none.
    mutating func next() -> UInt32? {
        while left == 0 {
            guard startRun() else { return nil }
        }
        left -= 1
        switch run {
        case .repeated(let value): return value
        case .packed(let bit):
            guard bit + width <= 8 * end else { return nil }
            run = .packed(bit: bit + width)
            guard width > 0 else { return 0 }
            // At most 5 bytes hold 32 bits from any bit on.
            var word: UInt64 = 0
            for index in bit / 8...(bit + width - 1) / 8 {
                word |= UInt64(bytes[index]) << UInt64(8 * (index - bit / 8))
            }
            return UInt32(truncatingIfNeeded: word >> UInt64(bit % 8) & (1 << UInt64(width) - 1))
        }
    }

    private mutating func startRun() -> Bool {
        guard let header = varint() else { return false }
        if header & 1 == 0 {
            let size = (width + 7) / 8
            guard size <= end - position else { return false }
            var value: UInt32 = 0
            for index in 0..<size { value |= UInt32(bytes[position + index]) << UInt32(8 * index) }
            position += size
            (run, left) = (.repeated(value), UInt64(header >> 1))
        } else {
            let groups = Int(header >> 1)
            run = .packed(bit: 8 * position)
            left = UInt64(groups) * 8
            // The last run of some writers ends early.
            position += min(groups * width, end - position)
        }
        return true
    }

    private mutating func varint() -> UInt32? {
        var value: UInt32 = 0
        for shift in stride(from: 0, to: 35, by: 7) {
            guard position < end else { return nil }
            let byte = bytes[position]
            position += 1
            value |= UInt32(byte & 0x7F) << UInt32(shift)
            if byte & 0x80 == 0 { return value }
        }
        return nil
    }
}
