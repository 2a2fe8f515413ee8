/// What templates do with text, by code points as Python does.
enum TemplateText {
    /// Python's white space.
    static func isSpace(_ scalar: Unicode.Scalar) -> Bool {
        guard scalar.value >= 0x80 else {
            return scalar == " " || 0x09...0x0D ~= scalar.value || 0x1C...0x1F ~= scalar.value
        }
        return scalar.properties.isWhitespace
    }

    /// Removes characters from the ends: the given ones, or white space.
    static func stripped(_ text: String, _ characters: String?, left: Bool, right: Bool) -> String {
        let set = characters.map { Set($0.unicodeScalars) }
        // Most characters are of ASCII, and asked for at once.
        let isSought = (0..<128).map { code in
            let scalar = Unicode.Scalar(UInt8(code))
            return set?.contains(scalar) ?? isSpace(scalar)
        }
        func isStripped(_ scalar: Unicode.Scalar) -> Bool {
            if scalar.value < 0x80 { return isSought[Int(scalar.value)] }
            return set?.contains(scalar) ?? isSpace(scalar)
        }
        let scalars = text.unicodeScalars
        var (start, end) = (scalars.startIndex, scalars.endIndex)
        while left, start < end, isStripped(scalars[start]) { scalars.formIndex(after: &start) }
        while right, start < end {
            let last = scalars.index(before: end)
            guard isStripped(scalars[last]) else { break }
            end = last
        }
        return String(text[start..<end])
    }

    /// The parts between separators, or between runs of white space.
    static func split(_ text: String, _ separator: String?) -> [JSONValue] {
        let bytes = Array(text.utf8)
        var parts: [JSONValue] = []
        var start = 0
        func add(until end: Int) { parts.append(.string(String(decoding: bytes[start..<end], as: UTF8.self))) }
        if let pattern = separator.map({ Array($0.utf8) }) {
            while let end = ByteSearch.first(pattern, in: bytes, from: start) {
                add(until: end)
                start = end + pattern.count
            }
            add(until: bytes.count)
            return parts
        }
        var position = 0
        for scalar in text.unicodeScalars {
            let next = position + UTF8.width(scalar)
            if isSpace(scalar) {
                if start < position { add(until: position) }
                start = next
            }
            position = next
        }
        if start < position { add(until: position) }
        return parts
    }

    /// A text again and again; `String(repeating:count:)` takes a step for each.
    static func repeated(_ text: String, _ count: Int) -> String {
        let bytes = Array(text.utf8), length = bytes.count * count
        var result = bytes
        result.reserveCapacity(length)
        while result.count < length { result.append(contentsOf: result[..<min(result.count, length - result.count)]) }
        return String(decoding: result, as: UTF8.self)
    }

    /// A text of these code points.
    static func joined(_ scalars: some Sequence<Unicode.Scalar>) -> String {
        var bytes: [UInt8] = []
        for scalar in scalars {
            if scalar.value < 0x80 {
                bytes.append(UInt8(scalar.value))
            } else if let encoded = UTF8.encode(scalar) {
                bytes.append(contentsOf: encoded)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Appends a text with every byte for which `escape` has a text written as that. Only bytes of ASCII have one.
    static func write(_ value: String, to text: inout String, escape: (UInt8) -> String?) {
        let bytes = Array(value.utf8)
        var written = 0
        for (position, byte) in bytes.enumerated() where byte < 0x60 {
            guard let escaped = escape(byte) else { continue }
            text += String(decoding: bytes[written..<position], as: UTF8.self)
            text += escaped
            written = position + 1
        }
        text += String(decoding: bytes[written...], as: UTF8.self)
    }
}
