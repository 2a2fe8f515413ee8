/// A column's values in one page, decompressed and read one after another.
struct ParquetPage {
    private enum Values {
        /// A length of four bytes before each value; the next at `position`.
        case plain(position: Int)
        /// Indices into a dictionary.
        case indices(RunLengthDecoder, ParquetDictionary)
        /// Lengths, and perhaps shared beginnings, before all texts.
        case deltas(DeltaTexts)
    }

    private let bytes: [UInt8]
    private let file: String
    private let place: DataPlace
    private let maximumDefinition: Int
    /// Repetition levels; nil where nothing is a list.
    private var repetitions: RunLengthDecoder?
    /// Definition levels; nil where every value is there.
    private var definitions: RunLengthDecoder?
    private var values: Values
    /// Values that are still to be read, missing ones among them.
    private(set) var left: Int

    /// - Parameters:
    ///   - bytes: levels and values, decompressed.
    ///   - dictionary: the column's dictionary, if it has one.
    init(
        _ header: PageHeader, bytes: [UInt8], column: ParquetColumn, dictionary: ParquetDictionary?, file: String,
        place: DataPlace
    ) throws {
        self.bytes = bytes
        self.file = file
        self.place = place
        maximumDefinition = column.maximumDefinition
        left = header.values
        var start = 0
        /// Levels from `start` on, which is moved behind them; nil where all are 0.
        func levels(_ part: String, maximum: Int, encoding: Int, size: Int) throws -> RunLengthDecoder? {
            let isV2 = header.kind == .dataV2
            guard maximum > 0 else {
                if isV2 { start += size }
                return nil
            }
            guard encoding == 3 else {
                throw DataError.unsupported(
                    file: file, place: place, what: "encoding of \(part)", found: Self.name(encoding), supported: "RLE")
            }
            var size = size
            if !isV2 {
                size = try Self.length(bytes, start, file, place)
                start += 4
            }
            let width = Int.bitWidth - maximum.leadingZeroBitCount
            guard let decoder = RunLengthDecoder(bytes, start..<(start + size), width: width) else {
                throw DataError.truncated(
                    file: file, place: place, part: part, needed: size, available: bytes.count - start)
            }
            start += size
            return decoder
        }
        repetitions = try levels(
            "repetition levels", maximum: column.maximumRepetition, encoding: header.repetitionEncoding,
            size: header.repetitionSize)
        definitions = try levels(
            "definition levels", maximum: maximumDefinition, encoding: header.definitionEncoding,
            size: header.definitionSize)
        switch header.encoding {
        case 0: values = .plain(position: start)
        case 2, 8:
            guard let dictionary else {
                throw DataError.malformed(
                    file: file, place: place, part: "the encoding", expected: "a dictionary page before", found: "none")
            }
            // A page without a single value need not say how wide its indices are.
            let width = start < bytes.count ? Int(bytes[start]) : 0
            let first = min(start + 1, bytes.count)
            guard let decoder = RunLengthDecoder(bytes, first..<bytes.count, width: width) else {
                throw DataError.malformed(
                    file: file, place: place, part: "the width of dictionary indices", expected: "0 to 32 bits",
                    found: "\(width)")
            }
            values = .indices(decoder, dictionary)
        case 6, 7:
            guard
                let texts = DeltaTexts(bytes, from: start, limit: header.values, hasPrefixes: header.encoding == 7)
            else {
                throw DataError.malformed(
                    file: file, place: place, part: "lengths", expected: Self.name(header.encoding),
                    found: "other bytes")
            }
            values = .deltas(texts)
        default:
            throw DataError.unsupported(
                file: file, place: place, what: "encoding", found: Self.name(header.encoding),
                supported: "PLAIN, PLAIN_DICTIONARY, RLE_DICTIONARY, DELTA_LENGTH_BYTE_ARRAY, DELTA_BYTE_ARRAY")
        }
    }

    /// The next value. To be called ``left`` times.
    mutating func next() throws -> ParquetValue {
        left -= 1
        var value = ParquetValue(definition: maximumDefinition)
        if repetitions != nil {
            guard let level = repetitions?.next() else { throw short("repetition levels") }
            value.repetition = Int(level)
        }
        if definitions != nil {
            guard let level = definitions?.next() else { throw short("definition levels") }
            value.definition = Int(level)
        }
        if value.definition >= maximumDefinition { value.bytes = try nextText() }
        return value
    }

    private mutating func nextText() throws -> [UInt8] {
        switch values {
        case .plain(let position):
            let length = try Self.length(bytes, position, file, place)
            let start = position + 4
            values = .plain(position: start + length)
            return Array(bytes[start..<(start + length)])
        case .deltas(var texts):
            guard let value = texts.next() else { throw short("texts") }
            values = .deltas(texts)
            return value
        case .indices(var decoder, let dictionary):
            guard let index = decoder.next() else { throw short("dictionary indices") }
            values = .indices(decoder, dictionary)
            guard let value = dictionary[index] else {
                throw DataError.malformed(
                    file: file, place: place, part: "a dictionary index", expected: "below \(dictionary.count)",
                    found: "\(index)")
            }
            return value
        }
    }

    /// The length that is written at `position`, when as many bytes follow.
    static func length(_ bytes: [UInt8], _ position: Int, _ file: String, _ place: DataPlace) throws -> Int {
        guard position <= bytes.count - 4 else {
            throw DataError.truncated(
                file: file, place: place, part: "a length", needed: 4, available: max(0, bytes.count - position))
        }
        var length = 0
        for index in 0..<4 { length |= Int(bytes[position + index]) << (8 * index) }
        guard length <= bytes.count - position - 4 else {
            throw DataError.truncated(
                file: file, place: place, part: "a value", needed: length, available: bytes.count - position - 4)
        }
        return length
    }

    private func short(_ part: String) -> DataError {
        .malformed(file: file, place: place, part: part, expected: "one for each value", found: "fewer")
    }

    private static func name(_ encoding: Int) -> String {
        let names = [
            0: "PLAIN", 2: "PLAIN_DICTIONARY", 3: "RLE", 4: "BIT_PACKED", 5: "DELTA_BINARY_PACKED",
            6: "DELTA_LENGTH_BYTE_ARRAY", 7: "DELTA_BYTE_ARRAY", 8: "RLE_DICTIONARY", 9: "BYTE_STREAM_SPLIT",
        ]
        return names[encoding] ?? "\(encoding)"
    }
}
