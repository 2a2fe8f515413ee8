/// A value of a GGUF file's metadata.
public enum GGUFValue: Sendable {
    case unsigned(UInt64)
    case signed(Int64)
    case float(Double)
    case bool(Bool)
    case string(String)
    case array(GGUFArray)

    /// What the value is, for messages.
    public var summary: String {
        switch self {
        case .unsigned(let value): "\(value)"
        case .signed(let value): "\(value)"
        case .float(let value): "\(value)"
        case .bool(let value): "\(value)"
        case .string(let value): value.count > 60 ? "a string of \(value.count) characters" : "\"\(value)\""
        case .array(let array): "an array of \(array.count) \(array.type)"
        }
    }

    /// The value as an integer, when it is one that fits.
    public var integer: Int? {
        switch self {
        case .unsigned(let value): Int(exactly: value)
        case .signed(let value): Int(exactly: value)
        case .float, .bool, .string, .array: nil
        }
    }

    /// The value as a number.
    public var number: Double? {
        switch self {
        case .unsigned(let value): Double(value)
        case .signed(let value): Double(value)
        case .float(let value): value
        case .bool, .string, .array: nil
        }
    }
}

/// The types of metadata values, by GGUF's numbers.
public enum GGUFType: UInt32, Sendable {
    case uint8, int8, uint16, int16, uint32, int32, float32, bool, string, array, uint64, int64, float64

    /// Bytes of a value; for strings and arrays the least that one takes.
    var size: Int {
        switch self {
        case .uint8, .int8, .bool: 1
        case .uint16, .int16: 2
        case .uint32, .int32, .float32: 4
        case .string, .uint64, .int64, .float64: 8
        case .array: 12
        }
    }
}

/// An array in a GGUF file's metadata, which stays in the mapped file until it is asked for.
public struct GGUFArray: Sendable {
    /// The type of all elements.
    public let type: GGUFType
    /// Number of elements.
    public let count: Int
    let file: MappedFile
    /// The elements' bytes in the file.
    let range: Range<Int>

    /// Each element of an array of scalars through `element`; nil when that gives nil for any of them.
    func map<Element>(_ element: (GGUFValue) -> Element?) throws -> [Element]? {
        guard type != .string else { return nil }
        return try withExtendedLifetime(file) {
            var cursor = GGUFCursor(UnsafeRawBufferPointer(rebasing: file.bytes[range]), file: file.path)
            var result: [Element] = []
            result.reserveCapacity(count)
            for _ in 0..<count {
                guard let value = element(try GGUFValue(&cursor, type, "an array", file: file)) else { return nil }
                result.append(value)
            }
            return result
        }
    }

    /// The elements of an array of strings; nil for other arrays.
    func strings(_ key: String) throws -> [String]? {
        guard type == .string else { return nil }
        return try withExtendedLifetime(file) {
            var cursor = GGUFCursor(UnsafeRawBufferPointer(rebasing: file.bytes[range]), file: file.path)
            var result: [String] = []
            result.reserveCapacity(count)
            for index in 0..<count { result.append(try cursor.string("\(key)[\(index)]")) }
            return result
        }
    }
}

extension GGUFValue {
    /// Reads a value of `type` at the cursor; arrays are passed over.
    init(_ cursor: inout GGUFCursor, _ type: GGUFType, _ key: String, file: MappedFile) throws {
        switch type {
        case .uint8: self = .unsigned(UInt64(try cursor.integer(UInt8.self, key)))
        case .int8: self = .signed(Int64(try cursor.integer(Int8.self, key)))
        case .uint16: self = .unsigned(UInt64(try cursor.integer(UInt16.self, key)))
        case .int16: self = .signed(Int64(try cursor.integer(Int16.self, key)))
        case .uint32: self = .unsigned(UInt64(try cursor.integer(UInt32.self, key)))
        case .int32: self = .signed(Int64(try cursor.integer(Int32.self, key)))
        case .float32: self = .float(Double(Float(bitPattern: try cursor.integer(UInt32.self, key))))
        case .uint64: self = .unsigned(try cursor.integer(UInt64.self, key))
        case .int64: self = .signed(try cursor.integer(Int64.self, key))
        case .float64: self = .float(Double(bitPattern: try cursor.integer(UInt64.self, key)))
        case .string: self = .string(try cursor.string(key, repairing: true))
        case .bool:
            let byte = try cursor.integer(UInt8.self, key)
            guard byte <= 1 else {
                throw CheckpointError.malformed(file: cursor.file, part: key, expected: "0 or 1", found: "\(byte)")
            }
            self = .bool(byte == 1)
        case .array:
            let element = try GGUFType(&cursor, key)
            guard element != .array else {
                throw CheckpointError.unsupported(
                    file: cursor.file, what: "value of \(key):", found: "array of arrays",
                    supported: "arrays of scalars")
            }
            let count = try cursor.count(ofSize: element.size, "the length of \(key)")
            let start = cursor.position
            if element == .string {
                for _ in 0..<count { try cursor.skipString(key) }
            } else {
                try cursor.skip(UInt64(count * element.size), key)
            }
            self = .array(GGUFArray(type: element, count: count, file: file, range: start..<cursor.position))
        }
    }
}

extension GGUFType {
    init(_ cursor: inout GGUFCursor, _ key: String) throws {
        let number = try cursor.integer(UInt32.self, "the type of \(key)")
        guard let type = GGUFType(rawValue: number) else {
            throw CheckpointError.malformed(
                file: cursor.file, part: "the type of \(key)", expected: "0 to 12", found: "\(number)")
        }
        self = type
    }
}
