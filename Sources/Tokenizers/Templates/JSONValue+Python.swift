import Support

extension JSONValue {
    /// The value as JSON text, as Python's `json.dumps(ensure_ascii=False)` writes it, with keys in their order.
    public var json: String {
        var text = ""
        write(to: &text)
        return text
    }

    private func write(to text: inout String) {
        switch self {
        case .null: text += "null"
        case .bool(let value): text += value ? "true" : "false"
        case .integer(let value): text += String(value)
        case .number(let value): text += "\(value)"
        case .string(let value): Self.write(value, to: &text)
        case .array(let elements):
            text += "["
            for (i, element) in elements.enumerated() {
                if i > 0 { text += ", " }
                element.write(to: &text)
            }
            text += "]"
        case .object(let object):
            text += "{"
            for (i, entry) in object.pairs.enumerated() {
                if i > 0 { text += ", " }
                Self.write(entry.key, to: &text)
                text += ": "
                entry.value.write(to: &text)
            }
            text += "}"
        }
    }

    private static func write(_ string: String, to text: inout String) {
        text += "\""
        TemplateText.write(string, to: &text) { byte in
            switch byte {
            case UInt8(ascii: "\""): return "\\\""
            case UInt8(ascii: "\\"): return "\\\\"
            case UInt8(ascii: "\n"): return "\\n"
            case UInt8(ascii: "\r"): return "\\r"
            case UInt8(ascii: "\t"): return "\\t"
            case 0x08: return "\\b"
            case 0x0C: return "\\f"
            case 0..<0x20:
                let digits = String(byte, radix: 16)
                return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: return nil
            }
        }
        text += "\""
    }
}
