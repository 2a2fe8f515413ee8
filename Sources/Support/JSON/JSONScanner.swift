/// Reads JSON from memory, piece by piece: for whole values and for formats that are read as they are scanned.
/// Never traps, and throws ``JSONFault``.
package struct JSONScanner {
    private let bytes: UnsafeRawBufferPointer
    private let dialect: JSONDialect
    package private(set) var position = 0
    /// Halves of surrogate pairs that were read as U+FFFD.
    private(set) var loneSurrogates = 0
    private var values = 0

    /// `bytes` must outlive the scanner.
    package init(_ bytes: UnsafeRawBufferPointer, _ dialect: JSONDialect = .strict) {
        (self.bytes, self.dialect) = (bytes, dialect)
    }

    // MARK: Structure

    /// Any value.
    package mutating func value(depth: Int = 0) throws -> JSONValue {
        guard depth < dialect.maximumDepth else { throw error("nested deeper than \(dialect.maximumDepth) levels") }
        values += 1
        guard values <= dialect.maximumValues else { throw error("more than \(dialect.maximumValues) values") }
        switch try peek() {
        case UInt8(ascii: "{"):
            var pairs: [(key: String, value: JSONValue)] = []
            try object { pairs.append(($1, try $0.value(depth: depth + 1))) }
            // Python's lines are small, and read by their keys; a vocabulary is gone through.
            return .object(
                dialect.isPython ? JSONObject(pairs.map { ($0.key, $0.value) }) : JSONObject(unchecked: pairs))
        case UInt8(ascii: "["):
            var values: [JSONValue] = []
            try array { values.append(try $0.value(depth: depth + 1)) }
            return .array(values)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try literal("true", .bool(true))
        case UInt8(ascii: "f"): return try literal("false", .bool(false))
        case UInt8(ascii: "n"): return try literal("null", .null)
        case UInt8(ascii: "N") where dialect.isPython: return try literal("NaN", .number(.nan))
        case UInt8(ascii: "I") where dialect.isPython: return try literal("Infinity", .number(.infinity))
        default: return try number()
        }
    }

    /// An object; `member` is called after each key and must read its value. Keys are unique where JSON is strict.
    package mutating func object(_ member: (inout JSONScanner, String) throws -> Void) throws {
        try expect(UInt8(ascii: "{"))
        if try take(UInt8(ascii: "}")) { return }
        var seen: Set<JSONKey> = []
        repeat {
            guard try peek() == UInt8(ascii: "\"") else { throw error("expected a key in quotes") }
            let key = try string()
            guard dialect.repeatsKeys || seen.insert(JSONKey(text: key)).inserted else {
                throw JSONFault.duplicate(key: key)
            }
            try expect(UInt8(ascii: ":"))
            try member(&self, key)
        } while try take(UInt8(ascii: ","))
        try expect(UInt8(ascii: "}"))
    }

    /// An array; `element` is called for each element and must read it.
    package mutating func array(_ element: (inout JSONScanner) throws -> Void) throws {
        try expect(UInt8(ascii: "["))
        if try take(UInt8(ascii: "]")) { return }
        repeat { try element(&self) } while try take(UInt8(ascii: ","))
        try expect(UInt8(ascii: "]"))
    }

    /// Nothing but white space follows.
    package mutating func end() throws {
        skipWhiteSpace()
        if position < bytes.count { throw error("text after the value") }
    }

    // MARK: Scalars

    /// A non-negative integer.
    package mutating func count() throws -> Int {
        let start = position
        guard case .integer(let integer) = try value(depth: dialect.maximumDepth - 1), integer >= 0 else {
            throw JSONFault.malformed(offset: start, problem: "expected an integer of at least 0")
        }
        return integer
    }

    /// A string in quotes.
    package mutating func string() throws -> String {
        try expect(UInt8(ascii: "\""))
        let start = position
        while position < bytes.count, bytes[position] != UInt8(ascii: "\""), bytes[position] != UInt8(ascii: "\\"),
            bytes[position] >= 0x20
        { position += 1 }
        var result = try validated(start..<position)
        while position < bytes.count {
            let byte = bytes[position]
            if byte == UInt8(ascii: "\"") {
                position += 1
                return result
            } else if byte == UInt8(ascii: "\\") {
                position += 1
                result.unicodeScalars.append(try escape())
            } else if byte < 0x20 {
                throw error("control character in a string")
            } else {
                let start = position
                while position < bytes.count, bytes[position] != UInt8(ascii: "\""),
                    bytes[position] != UInt8(ascii: "\\"), bytes[position] >= 0x20
                { position += 1 }
                result += try validated(start..<position)
            }
        }
        throw error("string without an end")
    }

    private func validated(_ range: Range<Int>) throws -> String {
        guard let string = String(validating: UnsafeRawBufferPointer(rebasing: bytes[range]), as: UTF8.self) else {
            throw JSONFault.malformed(offset: range.lowerBound, problem: "string is not UTF-8")
        }
        return string
    }

    /// What follows a backslash.
    private mutating func escape() throws -> Unicode.Scalar {
        guard position < bytes.count else { throw error("string without an end") }
        let byte = bytes[position]
        position += 1
        switch byte {
        case UInt8(ascii: "\""): return "\""
        case UInt8(ascii: "\\"): return "\\"
        case UInt8(ascii: "/"): return "/"
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{c}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"):
            var code = try hexadecimal()
            if (0xD800..<0xDC00).contains(code) {
                let start = position
                guard position + 1 < bytes.count, bytes[position] == UInt8(ascii: "\\"),
                    bytes[position + 1] == UInt8(ascii: "u")
                else { return try loneSurrogate() }
                position += 2
                let low = try hexadecimal()
                guard (0xDC00..<0xE000).contains(low) else {
                    position = start
                    return try loneSurrogate()
                }
                code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
            }
            return try Unicode.Scalar(code) ?? loneSurrogate()
        default: throw error("unknown escape")
        }
    }

    private mutating func loneSurrogate() throws -> Unicode.Scalar {
        guard dialect.isPython else { throw error("half of a surrogate pair") }
        loneSurrogates += 1
        return "\u{FFFD}"
    }

    private mutating func hexadecimal() throws -> UInt32 {
        var code: UInt32 = 0
        for _ in 0..<4 {
            guard position < bytes.count, let digit = Character(Unicode.Scalar(bytes[position])).hexDigitValue else {
                throw error("expected four hexadecimal digits")
            }
            code = code << 4 | UInt32(digit)
            position += 1
        }
        return code
    }

    private mutating func number() throws -> JSONValue {
        let start = position
        var isInteger = true
        let isNegative = skip(UInt8(ascii: "-"))
        if dialect.isPython, isNegative, position < bytes.count, bytes[position] == UInt8(ascii: "I") {
            return try literal("Infinity", .number(-.infinity))
        }
        if !skip(UInt8(ascii: "0")) { try digits() }
        if skip(UInt8(ascii: ".")) {
            isInteger = false
            try digits()
        }
        if skip(UInt8(ascii: "e")) || skip(UInt8(ascii: "E")) {
            isInteger = false
            _ = skip(UInt8(ascii: "+")) || skip(UInt8(ascii: "-"))
            try digits()
        }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        if isInteger, let integer = Int(text) { return .integer(integer) }
        guard let number = Double(text), dialect.isPython || number.isFinite else {
            throw JSONFault.malformed(offset: start, problem: "number out of range")
        }
        return .number(number)
    }

    private mutating func digits() throws {
        let start = position
        while position < bytes.count, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[position]) {
            position += 1
        }
        if position == start { throw error("expected a value") }
    }

    private mutating func literal(_ text: StaticString, _ value: JSONValue) throws -> JSONValue {
        for index in 0..<text.utf8CodeUnitCount {
            guard skip(text.utf8Start[index]) else { throw error("expected \(text)") }
        }
        return value
    }

    // MARK: Bytes

    private mutating func skipWhiteSpace() {
        while position < bytes.count {
            let byte = bytes[position]
            guard byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return }
            position += 1
        }
    }

    private mutating func peek() throws -> UInt8 {
        skipWhiteSpace()
        guard position < bytes.count else { throw error("unexpected end") }
        return bytes[position]
    }

    private mutating func skip(_ byte: UInt8) -> Bool {
        guard position < bytes.count, bytes[position] == byte else { return false }
        position += 1
        return true
    }

    private mutating func take(_ byte: UInt8) throws -> Bool {
        guard try peek() == byte else { return false }
        position += 1
        return true
    }

    private mutating func expect(_ byte: UInt8) throws {
        guard try take(byte) else { throw error("expected \(Character(Unicode.Scalar(byte)))") }
    }

    private func error(_ problem: String) -> JSONFault { .malformed(offset: position, problem: problem) }
}
