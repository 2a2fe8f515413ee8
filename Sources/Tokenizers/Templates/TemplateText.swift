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

    /// Whether Python's `repr` writes a character as it is.
    static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.isASCII { return 0x20..<0x7F ~= scalar.value }
        switch scalar.properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator,
            .spaceSeparator:
            return false
        default: return true
        }
    }

    /// A character as an escape: \x00, \u0000 or \U00000000.
    static func escaped(_ scalar: Unicode.Scalar) -> String {
        let (mark, length) = scalar.value < 0x100 ? ("x", 2) : scalar.value < 0x10000 ? ("u", 4) : ("U", 8)
        let digits = String(scalar.value, radix: 16)
        return "\\\(mark)" + String(repeating: "0", count: length - digits.count) + digits
    }

    /// The text of a value as it stands in HTML, unless it is one that stands there already.
    static func escapedForHTML(_ value: TemplateValue) -> String {
        if case .markup(let text) = value { return text }
        var text = ""
        write(value.text ?? value.pythonText, to: &text) { byte in
            switch byte {
            case UInt8(ascii: "&"): "&amp;"
            case UInt8(ascii: "<"): "&lt;"
            case UInt8(ascii: ">"): "&gt;"
            case UInt8(ascii: "'"): "&#39;"
            case UInt8(ascii: "\""): "&#34;"
            default: nil
            }
        }
        return text
    }

    /// With an upper-case letter first, and lower-case ones behind it.
    static func capitalised(_ text: String) -> String {
        guard let first = text.unicodeScalars.first else { return text }
        return first.properties.titlecaseMapping + joined(text.unicodeScalars.dropFirst()).lowercased()
    }

    /// With an upper-case letter at the beginning of each run of letters, as Python's `title`.
    static func titled(_ text: String) -> String {
        var result = String.UnicodeScalarView()
        var isInside = false
        for scalar in text.unicodeScalars {
            let properties = scalar.properties
            let isCased = properties.isCased
            let mapped = isCased ? (isInside ? properties.lowercaseMapping : properties.titlecaseMapping) : nil
            if let mapped { result.append(contentsOf: mapped.unicodeScalars) } else { result.append(scalar) }
            isInside = isCased
        }
        return String(result)
    }

    /// The parts between separators, at most `limit` cut off from the left or from the right.
    static func split(_ text: String, by separator: String, limit: Int, fromRight: Bool = false) -> [String] {
        let bytes = Array(text.utf8), pattern = Array(separator.utf8)
        var places: [Int] = [], start = 0
        while let found = ByteSearch.first(pattern, in: bytes, from: start) {
            places.append(found)
            start = found + pattern.count
            if !fromRight, places.count == limit { break }
        }
        if fromRight {
            // From the right, occurrences that overlap are others.
            let mirrored = Array(bytes.reversed()), sought = Array(pattern.reversed())
            places = []
            start = 0
            while places.count < limit, let found = ByteSearch.first(sought, in: mirrored, from: start) {
                places.append(bytes.count - found - pattern.count)
                start = found + pattern.count
            }
            places.reverse()
        }
        start = 0
        var parts: [String] = []
        for place in places {
            parts.append(String(decoding: bytes[start..<place], as: UTF8.self))
            start = place + pattern.count
        }
        return parts + [String(decoding: bytes[start...], as: UTF8.self)]
    }

    /// The words between runs of white space, at most `limit` cut off; what is left keeps the white space inside.
    static func words(of text: String, limit: Int, fromRight: Bool = false) -> [String] {
        let scalars = Array(text.unicodeScalars)
        var words: [String] = []
        var rest = scalars[...]
        func isWord(_ scalar: Unicode.Scalar) -> Bool { !isSpace(scalar) }
        while true {
            if fromRight {
                guard let end = rest.lastIndex(where: isWord) else { break }
                let begin =
                    words.count == limit
                    ? rest.startIndex : (rest[...end].lastIndex(where: isSpace) ?? rest.startIndex - 1) + 1
                words.append(joined(rest[begin...end]))
                rest = rest[..<begin]
            } else {
                guard let begin = rest.firstIndex(where: isWord) else { break }
                let end =
                    words.count == limit ? rest.endIndex : rest[begin...].firstIndex(where: isSpace) ?? rest.endIndex
                words.append(joined(rest[begin..<end]))
                rest = rest[end...]
            }
        }
        return fromRight ? words.reversed() : words
    }

    /// The lines, without their ends or with them.
    static func lines(of text: String, keepsEnds: Bool) -> [String] {
        var lines: [String] = []
        let scalars = Array(text.unicodeScalars)
        let ends: Set<Unicode.Scalar> = [
            "\n", "\r", "\u{B}", "\u{C}", "\u{1C}", "\u{1D}", "\u{1E}", "\u{85}", "\u{2028}", "\u{2029}",
        ]
        var start = 0, position = 0
        while position < scalars.count {
            let scalar = scalars[position]
            position += 1
            guard ends.contains(scalar) else { continue }
            let end = position - 1
            if scalar == "\r", position < scalars.count, scalars[position] == "\n" { position += 1 }
            lines.append(joined(scalars[start..<(keepsEnds ? position : end)]))
            start = position
        }
        if start < scalars.count { lines.append(joined(scalars[start...])) }
        return lines
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
