/// The values of a page in Parquet's encodings DELTA_LENGTH_BYTE_ARRAY, in which lengths stand before all texts, and
/// DELTA_BYTE_ARRAY, in which a text also takes over the beginning of the one before.
struct DeltaTexts {
    private let bytes: [UInt8]
    private let prefixes: [Int]?
    private let lengths: [Int]
    private var position: Int
    private var index = 0
    private var last: [UInt8] = []

    /// Reads what begins at `start`, at most `limit` texts; nil when it is damaged.
    init?(_ bytes: [UInt8], from start: Int, limit: Int, hasPrefixes: Bool) {
        var start = start
        if hasPrefixes {
            guard let prefixes = DeltaIntegers(bytes, from: start, limit: limit) else { return nil }
            (self.prefixes, start) = (prefixes.values, prefixes.end)
        } else {
            prefixes = nil
        }
        guard let lengths = DeltaIntegers(bytes, from: start, limit: limit),
            prefixes.map({ $0.count == lengths.values.count }) ?? true
        else { return nil }
        (self.bytes, self.lengths, position) = (bytes, lengths.values, lengths.end)
    }

    /// The next text; nil when there is none, or when it is damaged.
    mutating func next() -> [UInt8]? {
        guard index < lengths.count, (0...bytes.count - position).contains(lengths[index]) else { return nil }
        var text = Array(bytes[position..<position + lengths[index]])
        position += lengths[index]
        if let prefixes {
            guard (0...last.count).contains(prefixes[index]) else { return nil }
            text = last.prefix(prefixes[index]) + text
            last = text
        }
        index += 1
        return text
    }
}
