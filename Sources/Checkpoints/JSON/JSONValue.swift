import Foundation
import Support

/// A JSON value. Integers and other numbers are kept apart, and objects keep the order of their keys, so that a file
/// can be written back as it was read.
public enum JSONValue: Sendable, Equatable {
    case null
    case bool(Bool)
    case integer(Int)
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object(JSONObject)

    /// Parses strict JSON (RFC 8259), and refuses what Foundation lets pass: an object's key that appears twice,
    /// nesting beyond 64 levels.
    /// - Parameter file: The name to give in errors.
    /// - Throws: ``CheckpointError/json(file:offset:problem:)`` or ``CheckpointError/duplicate(file:name:)``.
    public init(parsing bytes: some ContiguousBytes, file: String) throws {
        self = try bytes.withUnsafeBytes { memory in
            var scanner = JSONScanner(try Self.text(memory, file), file: file)
            let value = try scanner.value()
            try scanner.end()
            return value
        }
    }

    /// Parses an object, or another value, as Python's json does (see ``JSONScanner``).
    /// - Parameter keys: those that may hold text; under the first that is there, half of a surrogate pair is refused. Without
    ///   keys it is refused anywhere.
    /// - Throws: ``CheckpointError/json(file:offset:problem:)``.
    package init(asPython bytes: some ContiguousBytes, file: String, text keys: [String]) throws {
        self = try bytes.withUnsafeBytes { memory in
            var scanner = JSONScanner(memory, file: file, isLenient: true)
            var (object, damage) = (JSONObject(), [String: Int]())
            guard memory.first(where: { ![0x20, 0x09, 0x0D].contains($0) }) == UInt8(ascii: "{") else {
                let value = try scanner.value()
                try scanner.end()
                return value
            }
            try scanner.object { scanner, name in
                let (start, lone) = (scanner.position, scanner.loneSurrogates)
                object[name] = try scanner.value(depth: 1)
                damage[name] = scanner.loneSurrogates > lone ? start : nil
            }
            try scanner.end()
            let damaged = keys.isEmpty ? damage.values.min() : keys.first { object[$0] != nil }.flatMap { damage[$0] }
            if let offset = damaged {
                throw CheckpointError.json(file: file, offset: offset, problem: "half of a surrogate pair in the text")
            }
            return .object(object)
        }
    }

    /// `bytes` without the mark that may stand before UTF-8.
    private static func text(_ bytes: UnsafeRawBufferPointer, _ file: String) throws -> UnsafeRawBufferPointer {
        if let found = TextEncoding.foreign(bytes) {
            throw CheckpointError.json(file: file, offset: 0, problem: "expected UTF-8 text, found \(found)")
        }
        return UnsafeRawBufferPointer(rebasing: TextEncoding.unmarked(bytes))
    }

    /// Reads and parses the regular file at `path`, of at most 256 MiB.
    public init(file path: String) throws {
        let data: Data
        do { data = try RegularFile.contents(path, limit: 256 << 20) } catch {
            throw CheckpointError.unreadable(path: path, reason: error.description)
        }
        self = try JSONValue(parsing: data, file: path)
    }

    /// What the value is, for messages: `"llama"`, `12`, `an array of 3`.
    public var summary: String {
        switch self {
        case .array(let values): "an array of \(values.count)"
        case .object(let object): "an object of \(object.count) keys"
        case .string(let string) where string.count > 60: "a string of \(string.count) characters"
        default: text()
        }
    }

    /// The value under `key` of an object; nil for other values and absent keys.
    public subscript(key: String) -> JSONValue? {
        if case .object(let object) = self { object[key] } else { nil }
    }

    /// The object; nil for other values.
    public var objectValue: JSONObject? { if case .object(let object) = self { object } else { nil } }
    /// The array's elements; nil for other values.
    public var arrayValue: [JSONValue]? { if case .array(let array) = self { array } else { nil } }
    /// The string; nil for other values.
    public var stringValue: String? { if case .string(let string) = self { string } else { nil } }
    /// The boolean; nil for other values.
    public var boolValue: Bool? { if case .bool(let bool) = self { bool } else { nil } }
    /// The integer; nil for other values, numbers with a fraction among them.
    public var integerValue: Int? { if case .integer(let integer) = self { integer } else { nil } }
    /// An integer or another number.
    public var doubleValue: Double? {
        switch self {
        case .integer(let integer): Double(integer)
        case .number(let number): number
        default: nil
        }
    }
}

extension JSONValue: ExpressibleByNilLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByFloatLiteral, ExpressibleByStringLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    public init(nilLiteral: ()) { self = .null }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(integerLiteral value: Int) { self = .integer(value) }
    public init(floatLiteral value: Double) { self = .number(value) }
    public init(stringLiteral value: String) { self = .string(value) }
    public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
    public init(dictionaryLiteral elements: (String, JSONValue)...) {
        self = .object(JSONObject(elements))
    }
}
