/// A value while a template is rendered.
enum TemplateValue {
    /// A name or an attribute that does not exist.
    case undefined(String)
    case json(JSONValue)
    /// What `namespace()` returns: variables that a loop may assign to.
    case namespace(TemplateNamespace)

    static var null: TemplateValue { .json(.null) }

    static func string(_ text: String) -> TemplateValue { .json(.string(text)) }
    static func integer(_ value: Int) -> TemplateValue { .json(.integer(value)) }
    static func bool(_ value: Bool) -> TemplateValue { .json(.bool(value)) }

    /// What the value is, in the words of an error message.
    var kind: String {
        switch self {
        case .undefined(let name): "\(name), which is not defined"
        case .json(let value): value.kind
        case .namespace: "a namespace"
        }
    }

    var isTrue: Bool {
        switch self {
        case .undefined, .json(.null): false
        case .json(.bool(let value)): value
        case .json(.integer(let value)): value != 0
        case .json(.number(let value)): value != 0
        case .json(.string(let value)): !value.isEmpty
        case .json(.array(let value)): !value.isEmpty
        case .json(.object(let value)): !value.entries.isEmpty
        case .namespace: true
        }
    }
}

/// The variables of a namespace.
final class TemplateNamespace {
    var variables: JSONObject

    init(_ variables: JSONObject) {
        self.variables = variables
    }
}

extension JSONValue {
    /// The number of a number, or of a truth value as Python counts it.
    var numeric: Double? {
        switch self {
        case .bool(let value): value ? 1 : 0
        case .integer(let value): Double(value)
        case .number(let value): value
        default: nil
        }
    }

    /// The value as Python's `str` writes it.
    var pythonText: String {
        if case .string(let text) = self { return text }
        var text = ""
        writePython(to: &text)
        return text
    }

    private func writePython(to text: inout String) {
        switch self {
        case .null: text += "None"
        case .bool(let value): text += value ? "True" : "False"
        case .integer(let value): text += "\(value)"
        case .number(let value): text += "\(value)"
        case .string(let value): Self.writePython(value, to: &text)
        case .array(let elements):
            text += "["
            for (index, element) in elements.enumerated() {
                if index > 0 { text += ", " }
                element.writePython(to: &text)
            }
            text += "]"
        case .object(let object):
            text += "{"
            for (index, entry) in object.entries.enumerated() {
                if index > 0 { text += ", " }
                Self.writePython(entry.key, to: &text)
                text += ": "
                entry.value.writePython(to: &text)
            }
            text += "}"
        }
    }

    private static func writePython(_ value: String, to text: inout String) {
        let hasSingle = value.utf8.contains(UInt8(ascii: "'")), hasDouble = value.utf8.contains(UInt8(ascii: "\""))
        let quote = hasSingle && !hasDouble ? "\"" : "'"
        text += quote
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            case "\t": text += "\\t"
            case "'" where quote == "'": text += "\\'"
            default: text.unicodeScalars.append(scalar)
            }
        }
        text += quote
    }
}
