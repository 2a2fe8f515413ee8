import Foundation

extension JSONValue {
    /// The value as JSON text, on one line or, with `indented`, over several lines of two spaces per level.
    /// Numbers that JSON cannot express (NaN, infinities) are written as null.
    public func text(indented: Bool = false) -> String {
        var output = ""
        write(to: &output, indentation: indented ? 0 : nil)
        return output
    }

    private func write(to output: inout String, indentation: Int?) {
        switch self {
        case .null: output += "null"
        case .bool(let bool): output += bool ? "true" : "false"
        case .integer(let integer): output += String(integer)
        case .number(let number): output += number.isFinite ? "\(number)" : "null"
        case .string(let string): Self.writeString(string, to: &output)
        case .array(let values):
            Self.writeItems(values, open: "[", close: "]", to: &output, indentation: indentation) {
                $0.write(to: &$1, indentation: $2)
            }
        case .object(let object):
            Self.writeItems(object.pairs, open: "{", close: "}", to: &output, indentation: indentation) {
                Self.writeString($0.key, to: &$1)
                $1 += $2 == nil ? ":" : ": "
                $0.value.write(to: &$1, indentation: $2)
            }
        }
    }

    private static func writeItems<Item>(
        _ items: [Item], open: String, close: String, to output: inout String, indentation: Int?,
        write: (Item, inout String, Int?) -> Void
    ) {
        output += open
        let inner = indentation.map { $0 + 2 }
        for (index, item) in items.enumerated() {
            if index > 0 { output += "," }
            if let inner { output += "\n" + String(repeating: " ", count: inner) }
            write(item, &output, inner)
        }
        if let indentation, !items.isEmpty { output += "\n" + String(repeating: " ", count: indentation) }
        output += close
    }

    private static func writeString(_ string: String, to output: inout String) {
        output += "\""
        for scalar in string.unicodeScalars {
            switch scalar {
            case "\"": output += "\\\""
            case "\\": output += "\\\\"
            case "\n": output += "\\n"
            case "\r": output += "\\r"
            case "\t": output += "\\t"
            case "\u{0}"..<" ":
                let digits = String(scalar.value, radix: 16)
                output += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: output.unicodeScalars.append(scalar)
            }
        }
        output += "\""
    }
}

extension JSONValue: Codable {
    public init(from decoder: any Decoder) throws {
        if let container = try? decoder.container(keyedBy: MemberKey.self) {
            var object = JSONObject()
            for key in container.allKeys { object[key.stringValue] = try container.decode(JSONValue.self, forKey: key) }
            self = .object(object)
            return
        }
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let bool = try? container.decode(Bool.self) {
            self = .bool(bool)
        } else if let integer = try? container.decode(Int.self) {
            self = .integer(integer)
        } else if let number = try? container.decode(Double.self) {
            self = .number(number)
        } else if let string = try? container.decode(String.self) {
            self = .string(string)
        } else {
            self = .array(try container.decode([JSONValue].self))
        }
    }

    public func encode(to encoder: any Encoder) throws {
        switch self {
        case .object(let object):
            var container = encoder.container(keyedBy: MemberKey.self)
            for (key, value) in object.pairs { try container.encode(value, forKey: MemberKey(stringValue: key)) }
        default:
            var container = encoder.singleValueContainer()
            switch self {
            case .bool(let bool): try container.encode(bool)
            case .integer(let integer): try container.encode(integer)
            case .number(let number): try container.encode(number)
            case .string(let string): try container.encode(string)
            case .array(let array): try container.encode(array)
            case .null, .object: try container.encodeNil()
            }
        }
    }

    /// Decodes the value as `Value`, as JSONDecoder would from the text.
    public func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
        try JSONDecoder().decode(type, from: Data(text().utf8))
    }

    private struct MemberKey: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }
}
