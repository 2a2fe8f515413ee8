/// Integers in Parquet's encoding DELTA_BINARY_PACKED: blocks of differences to a least one, each packed in as few bits as
/// its part of a block needs.
struct DeltaIntegers {
    private(set) var values: [Int] = []
    /// Where what comes behind them begins.
    private(set) var end: Int

    /// Reads what begins at `start`, at most `limit` integers; nil when it is damaged.
    init?(_ bytes: [UInt8], from start: Int, limit: Int) {
        end = start
        guard let blockSize = Self.varint(bytes, &end), let parts = Self.varint(bytes, &end),
            let count = Self.varint(bytes, &end), let first = Self.varint(bytes, &end).map(Self.signed),
            (1...1 << 20).contains(blockSize), (1...blockSize).contains(parts), blockSize % parts == 0, count <= limit
        else { return nil }
        let size = Int(blockSize / parts)
        guard size % 8 == 0, count > 0 else {
            if count > 0 { return nil }
            return
        }
        values.append(first)
        while values.count < Int(count) {
            guard let least = Self.varint(bytes, &end).map(Self.signed), Int(parts) <= bytes.count - end else {
                return nil
            }
            let widths = bytes[end..<end + Int(parts)]
            end += Int(parts)
            for width in widths where values.count < Int(count) {
                let length = size / 8 * Int(width)
                guard width <= 64, length <= bytes.count - end else { return nil }
                for index in 0..<min(size, Int(count) - values.count) {
                    let delta = Self.bits(bytes, end, index * Int(width), Int(width))
                    values.append((values.last ?? 0) &+ least &+ delta)
                }
                end += length
            }
        }
    }

    private static func bits(_ bytes: [UInt8], _ start: Int, _ first: Int, _ width: Int) -> Int {
        var value: UInt64 = 0
        var done = 0
        while done < width {
            let bit = first + done
            let taken = min(8 - bit % 8, width - done)
            let part = UInt64(bytes[start + bit / 8] >> UInt8(bit % 8)) & (1 << UInt64(taken) - 1)
            value |= part << UInt64(done)
            done += taken
        }
        return Int(truncatingIfNeeded: value)
    }

    private static func varint(_ bytes: [UInt8], _ position: inout Int) -> UInt64? {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 64, by: 7) {
            guard position < bytes.count else { return nil }
            let byte = bytes[position]
            position += 1
            value |= UInt64(byte & 0x7F) << shift
            if byte & 0x80 == 0 { return value }
        }
        return nil
    }

    private static func signed(_ value: UInt64) -> Int { Int(truncatingIfNeeded: value >> 1) ^ -Int(value & 1) }
}
