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

    /// Whether two values are equal in Python.
    func equals(_ other: JSONValue) -> Bool {
        switch (self, other) {
        case (.null, .null): true
        case (.integer(let left), .integer(let right)): left == right
        case (.string(let left), .string(let right)): left.utf8.elementsEqual(right.utf8)
        case (.array(let left), .array(let right)): left.elementsEqual(right) { $0.equals($1) }
        case (.object(let left), .object(let right)):
            left.entries.count == right.entries.count
                && left.entries.allSatisfy { entry in right[entry.key].map { entry.value.equals($0) } ?? false }
        default: if let left = numeric, let right = other.numeric { left == right } else { false }
        }
    }

    /// The value as Python's `str` writes it.
    var pythonText: String {
        if case .string(let text) = self { text } else { pythonRepresentation }
    }

    private var pythonRepresentation: String {
        switch self {
        case .null: return "None"
        case .bool(let value): return value ? "True" : "False"
        case .integer(let value): return "\(value)"
        case .number(let value): return "\(value)"
        case .string(let value):
            let quote = value.contains("'") && !value.contains("\"") ? "\"" : "'"
            var text = quote
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
            return text + quote
        case .array(let elements):
            return "[" + elements.map(\.pythonRepresentation).joined(separator: ", ") + "]"
        case .object(let object):
            let entries = object.entries.map {
                JSONValue.string($0.key).pythonRepresentation + ": " + $0.value.pythonRepresentation
            }
            return "{" + entries.joined(separator: ", ") + "}"
        }
    }
}
