extension JSONValue {
    /// The value as JSON text, as Python's `json.dumps(ensure_ascii=False)` writes it, with keys in their order.
    public var json: String {
        var text = ""
        write(to: &text, indent: nil, level: 0)
        return text
    }

    /// The value as JSON text over several lines, `indent` spaces deeper in every level.
    func json(indent: Int) -> String {
        var text = ""
        write(to: &text, indent: indent, level: 0)
        return text
    }

    private func write(to text: inout String, indent: Int?, level: Int) {
        func breakLine(_ level: Int) {
            if let indent { text += "\n" + String(repeating: " ", count: indent * level) }
        }
        switch self {
        case .null: text += "null"
        case .bool(let value): text += value ? "true" : "false"
        case .integer(let value): text += String(value)
        case .number(let value): text += "\(value)"
        case .string(let value): Self.write(value, to: &text)
        case .array(let elements):
            guard !elements.isEmpty else { return text += "[]" }
            text += "["
            for (i, element) in elements.enumerated() {
                if i > 0 { text += indent == nil ? ", " : "," }
                breakLine(level + 1)
                element.write(to: &text, indent: indent, level: level + 1)
            }
            breakLine(level)
            text += "]"
        case .object(let object):
            guard !object.entries.isEmpty else { return text += "{}" }
            text += "{"
            for (i, entry) in object.entries.enumerated() {
                if i > 0 { text += indent == nil ? ", " : "," }
                breakLine(level + 1)
                Self.write(entry.key, to: &text)
                text += ": "
                entry.value.write(to: &text, indent: indent, level: level + 1)
            }
            breakLine(level)
            text += "}"
        }
    }

    private static func write(_ string: String, to text: inout String) {
        text += "\""
        for scalar in string.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            case "\t": text += "\\t"
            case "\u{8}": text += "\\b"
            case "\u{C}": text += "\\f"
            case _ where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: text.unicodeScalars.append(scalar)
            }
        }
        text += "\""
    }
}
