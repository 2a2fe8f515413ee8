import Foundation

extension JSONValue {
    /// Parses a text, behind a mark of UTF-8 where there is one.
    /// - Throws: ``JSONFault``.
    package init(parsing bytes: some ContiguousBytes, _ dialect: JSONDialect) throws {
        self = try bytes.withUnsafeBytes { memory in
            if let found = TextEncoding.foreign(memory) {
                throw JSONFault.malformed(offset: 0, problem: "expected UTF-8 text, found \(found)")
            }
            var scanner = JSONScanner(UnsafeRawBufferPointer(rebasing: TextEncoding.unmarked(memory)), dialect)
            let value = try scanner.value()
            try scanner.end()
            return value
        }
    }

    /// Parses an object, or another value, as Python's json does.
    /// - Parameter keys: those that may hold text; under the first that is there, half of a surrogate pair is refused. Without
    ///   keys it is refused anywhere.
    /// - Throws: ``JSONFault``.
    package init(asPython bytes: some ContiguousBytes, text keys: [String]) throws {
        self = try bytes.withUnsafeBytes { memory in
            var scanner = JSONScanner(memory, .python)
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
            if let damaged {
                throw JSONFault.malformed(offset: damaged, problem: "half of a surrogate pair in the text")
            }
            return .object(object)
        }
    }
}
