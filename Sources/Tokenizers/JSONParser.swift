import Foundation
import Support

/// A parser for JSON text that keeps the order of keys, refuses invalid UTF-8 and deep nesting, and never traps.
struct JSONParser {
    static let maximumDepth = 128
    /// The most values in a text: four times as many as the largest tokenizer.json has.
    private static let maximumValues = 1 << 23

    private let bytes: UnsafeBufferPointer<UInt8>
    private let file: String
    private var position = 0
    private var values = 0

    /// Parses `data`, which must hold one JSON value, behind a mark of UTF-8 where there is one. `file` names it in errors.
    static func parse(_ data: Data, file: String) throws -> JSONValue {
        if let found = TextEncoding.foreign(data) {
            throw TokenizerError.invalidJSON(file: file, offset: 0, reason: "it is \(found)")
        }
        return try Data(TextEncoding.unmarked(data)).withUnsafeBytes { raw in
            var parser = JSONParser(bytes: raw.bindMemory(to: UInt8.self), file: file)
            let value = try parser.value(depth: 0)
            parser.skipSpace()
            guard parser.position == parser.bytes.count else { throw parser.error("text after the value") }
            return value
        }
    }

    private init(bytes: UnsafeBufferPointer<UInt8>, file: String) {
        self.bytes = bytes
        self.file = file
    }

    private func error(_ reason: String) -> TokenizerError {
        .invalidJSON(file: file, offset: position, reason: reason)
    }

    private mutating func skipSpace() {
        while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
    }

    private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func take(_ byte: UInt8) -> Bool {
        skipSpace()
        guard next == byte else { return false }
        position += 1
        return true
    }

    private mutating func value(depth: Int) throws -> JSONValue {
        guard depth < Self.maximumDepth else { throw error("nested deeper than \(Self.maximumDepth)") }
        values += 1
        guard values <= Self.maximumValues else { throw error("more than \(Self.maximumValues) values") }
        skipSpace()
        switch next {
        case UInt8(ascii: "{"): return try object(depth: depth)
        case UInt8(ascii: "["): return try array(depth: depth)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try literal("true", .bool(true))
        case UInt8(ascii: "f"): return try literal("false", .bool(false))
        case UInt8(ascii: "n"): return try literal("null", .null)
        case nil: throw error("the text ends too early")
        default: return try number()
        }
    }

    private mutating func literal(_ text: StaticString, _ value: JSONValue) throws -> JSONValue {
        let count = text.utf8CodeUnitCount
        guard bytes.count - position >= count,
            (0..<count).allSatisfy({ bytes[position + $0] == text.utf8Start[$0] })
        else { throw error("expected \(text)") }
        position += count
        return value
    }

    private mutating func object(depth: Int) throws -> JSONValue {
        position += 1
        var entries: [(key: String, value: JSONValue)] = []
        if take(UInt8(ascii: "}")) { return .object(JSONObject()) }
        repeat {
            skipSpace()
            guard next == UInt8(ascii: "\"") else { throw error("expected a key") }
            let key = try string()
            guard take(UInt8(ascii: ":")) else { throw error("expected ':'") }
            entries.append((key, try value(depth: depth + 1)))
        } while take(UInt8(ascii: ","))
        guard take(UInt8(ascii: "}")) else { throw error("expected ',' or '}'") }
        return .object(JSONObject(entries))
    }

    private mutating func array(depth: Int) throws -> JSONValue {
        position += 1
        var elements: [JSONValue] = []
        if take(UInt8(ascii: "]")) { return .array([]) }
        repeat { elements.append(try value(depth: depth + 1)) } while take(UInt8(ascii: ","))
        guard take(UInt8(ascii: "]")) else { throw error("expected ',' or ']'") }
        return .array(elements)
    }

    private mutating func number() throws -> JSONValue {
        let start = position
        while let byte = next, UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte || "+-.eE".utf8.contains(byte) {
            position += 1
        }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        if let integer = Int(text), text.utf8.first != UInt8(ascii: "+") { return .integer(integer) }
        guard let first = text.utf8.first, first != UInt8(ascii: "+"), first != UInt8(ascii: "."),
            let number = Double(text), number.isFinite
        else {
            position = start
            throw error("expected a value")
        }
        return .number(number)
    }

    private mutating func string() throws -> String {
        position += 1
        let start = position
        while let byte = next, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 { position += 1 }
        if next == UInt8(ascii: "\"") {
            guard let text = String(validating: bytes[start..<position], as: UTF8.self) else {
                throw error("a string that is not UTF-8")
            }
            position += 1
            return text
        }
        var decoded = Array(bytes[start..<position])
        while let byte = next, byte != UInt8(ascii: "\"") {
            guard byte >= 0x20 else { throw error("a control character in a string") }
            position += 1
            if byte == UInt8(ascii: "\\") {
                decoded.append(contentsOf: String(Character(try escape())).utf8)
            } else {
                decoded.append(byte)
            }
        }
        guard next != nil else { throw error("a string without an end") }
        guard let text = String(validating: decoded, as: UTF8.self) else { throw error("a string that is not UTF-8") }
        position += 1
        return text
    }

    /// The character of an escape sequence whose backslash is behind.
    private mutating func escape() throws -> Unicode.Scalar {
        guard let byte = next else { throw error("a string without an end") }
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{C}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"):
            var code = try hexadecimal()
            if 0xD800..<0xDC00 ~= code, position + 1 < bytes.count, bytes[position] == UInt8(ascii: "\\"),
                bytes[position + 1] == UInt8(ascii: "u")
            {
                position += 2
                let low = try hexadecimal()
                guard 0xDC00..<0xE000 ~= low else { throw error("half of a surrogate pair") }
                code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(code) else { throw error("half of a surrogate pair") }
            return scalar
        default: throw error("an unknown escape sequence")
        }
    }

    private mutating func hexadecimal() throws -> UInt32 {
        var code: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = next, let digit = Character(Unicode.Scalar(byte)).hexDigitValue, byte < 0x80 else {
                throw error("expected four hexadecimal digits")
            }
            code = code << 4 | UInt32(digit)
            position += 1
        }
        return code
    }
}

extension JSONValue {
    /// The value of JSON text.
    ///
    /// - Throws: ``TokenizerError/invalidJSON(file:offset:reason:)``.
    public init(parsing text: String) throws {
        self = try JSONParser.parse(Data(text.utf8), file: "the JSON text")
    }
}
