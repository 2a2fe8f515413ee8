/// Reads Thrift's compact protocol, in which Parquet describes itself, from memory.
struct ThriftReader {
    /// What a field holds.
    enum Kind: UInt8 {
        case yes = 1, no, byte, int16, int32, int64, double, binary, list, set, map, structure, uuid
    }

    private let bytes: [UInt8]
    private let file: String
    private let place: DataPlace
    private(set) var position = 0
    private static let maximumDepth = 32

    init(_ bytes: [UInt8], file: String, place: DataPlace) {
        self.bytes = bytes
        self.file = file
        self.place = place
    }

    /// A structure; `field` is called for each of its fields and must read or skip the value.
    mutating func structure(_ field: (inout ThriftReader, Int, Kind) throws -> Void) throws {
        var id = 0
        while true {
            let header = try byte()
            guard header != 0 else { return }
            let delta = Int(header >> 4)
            id = delta == 0 ? try integer() : id + delta
            guard let kind = Kind(rawValue: header & 0xF), (0...Int(Int16.max)).contains(id) else {
                throw malformed("a field", "a known type and number", "type \(header & 0xF), number \(id)")
            }
            try field(&self, id, kind)
        }
    }

    /// A list; `element` is called for each of its elements and must read the value.
    mutating func list(_ kind: Kind, of expected: Kind, _ element: (inout ThriftReader) throws -> Void) throws {
        try expect(kind, .list)
        let (count, kind) = try listHeader()
        guard count > 0 else { return }
        try expect(kind, expected)
        for _ in 0..<count { try element(&self) }
    }

    /// A whole number of any width.
    mutating func integer(_ kind: Kind) throws -> Int {
        switch kind {
        case .byte: Int(Int8(bitPattern: try byte()))
        case .int16, .int32, .int64: try integer()
        default: throw malformed("a field", "an integer", "\(kind)")
        }
    }

    /// A number of bytes or items.
    mutating func count(_ kind: Kind, _ part: String) throws -> Int {
        let count = try integer(kind)
        guard count >= 0 else { throw malformed(part, "at least 0", "\(count)") }
        return count
    }

    mutating func bool(_ kind: Kind) throws -> Bool {
        switch kind {
        case .yes: true
        case .no: false
        default: throw malformed("a field", "true or false", "\(kind)")
        }
    }

    mutating func string(_ kind: Kind) throws -> String {
        try expect(kind, .binary)
        let range = try take(try length())
        return String(decoding: bytes[range], as: UTF8.self)
    }

    /// Passes over a value.
    mutating func skip(_ kind: Kind, depth: Int = 0) throws {
        guard depth < Self.maximumDepth else {
            throw DataError.tooLarge(
                file: file, place: place, part: "nesting", limit: Self.maximumDepth, found: depth + 1)
        }
        switch kind {
        case .yes, .no: break
        case .byte: _ = try take(1)
        case .int16, .int32, .int64: _ = try varint()
        case .double: _ = try take(8)
        case .uuid: _ = try take(16)
        case .binary: _ = try take(try length())
        case .list, .set:
            let (count, kind) = try listHeader()
            for _ in 0..<count { try skipElement(kind, depth: depth) }
        case .map:
            let count = try length()
            guard count > 0 else { return }
            let kinds = try byte()
            guard let key = Kind(rawValue: kinds >> 4), let value = Kind(rawValue: kinds & 0xF) else {
                throw malformed("a map", "known types", "\(kinds)")
            }
            for _ in 0..<count {
                try skipElement(key, depth: depth)
                try skipElement(value, depth: depth)
            }
        case .structure:
            try structure { reader, _, kind in try reader.skip(kind, depth: depth + 1) }
        }
    }

    /// An element of a collection, in which truth values take a byte.
    private mutating func skipElement(_ kind: Kind, depth: Int) throws {
        if kind == .yes || kind == .no {
            _ = try take(1)
        } else {
            try skip(kind, depth: depth + 1)
        }
    }

    func expect(_ kind: Kind, _ expected: Kind) throws {
        guard kind == expected else { throw malformed("a field", "\(expected)", "\(kind)") }
    }

    private mutating func listHeader() throws -> (count: Int, kind: Kind) {
        let header = try byte()
        let count = header >> 4 == 15 ? try length() : Int(header >> 4)
        guard count <= bytes.count - position else {
            throw DataError.truncated(
                file: file, place: place, part: "a list", needed: count, available: bytes.count - position)
        }
        guard let kind = Kind(rawValue: header & 0xF) else {
            throw malformed("a list", "a known type", "\(header & 0xF)")
        }
        return (count, kind)
    }

    /// A length in bytes or elements, each of which takes a byte at least.
    private mutating func length() throws -> Int {
        let length = try varint()
        guard length <= UInt64(bytes.count - position) else {
            throw DataError.truncated(
                file: file, place: place, part: "a value", needed: Int(clamping: length),
                available: bytes.count - position)
        }
        return Int(length)
    }

    private mutating func integer() throws -> Int {
        let value = try varint()
        return Int(truncatingIfNeeded: value >> 1) ^ -Int(value & 1)
    }

    private mutating func varint() throws -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: 0, to: 64, by: 7) {
            let byte = try byte()
            value |= UInt64(byte & 0x7F) << UInt64(shift)
            if byte & 0x80 == 0 { return value }
        }
        throw malformed("a number", "at most 10 bytes", "more")
    }

    private mutating func byte() throws -> UInt8 { bytes[try take(1).lowerBound] }

    private mutating func take(_ count: Int) throws -> Range<Int> {
        guard count <= bytes.count - position else {
            throw DataError.truncated(
                file: file, place: place, part: "a value", needed: count, available: bytes.count - position)
        }
        defer { position += count }
        return position..<(position + count)
    }

    func malformed(_ part: String, _ expected: String, _ found: String) -> DataError {
        .malformed(file: file, place: place, part: part, expected: expected, found: found)
    }
}
