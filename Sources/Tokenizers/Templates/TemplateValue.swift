import Support

/// A value while a template is rendered, as Python has it.
enum TemplateValue {
    /// A name or an attribute that does not exist: false and empty, and an error in most other places.
    case undefined(String)
    case none
    case bool(Bool)
    case integer(Int)
    case number(Double)
    case string(String)
    /// A text that `safe` or `escape` made: what is added to it is escaped.
    case markup(String)
    case sequence(TemplateSequence)
    case dictionary(TemplateDictionary)
    case iterator(TemplateIterator)
    case object(any TemplateObject)

    init(_ value: JSONValue) {
        switch value {
        case .null: self = .none
        case .bool(let value): self = .bool(value)
        case .integer(let value): self = .integer(value)
        case .number(let value): self = .number(value)
        case .string(let value): self = .string(value)
        case .array(let elements): self = .list(elements.map { TemplateValue($0) })
        case .object(let object):
            self = .dictionary(
                TemplateDictionary(object.pairs.map { .init(key: .string($0.key), value: TemplateValue($0.value)) }))
        }
    }

    static func list(_ elements: [TemplateValue]) -> TemplateValue { .sequence(TemplateSequence(.list, elements)) }
    static func tuple(_ elements: [TemplateValue]) -> TemplateValue { .sequence(TemplateSequence(.tuple, elements)) }

    /// The text of a string.
    var text: String? {
        switch self {
        case .string(let text), .markup(let text): text
        default: nil
        }
    }

    /// Another text of this one's kind.
    func like(_ text: String) -> TemplateValue { isMarkup ? .markup(text) : .string(text) }

    var isUndefined: Bool { if case .undefined = self { true } else { false } }
    var isNone: Bool { if case .none = self { true } else { false } }
    var isMarkup: Bool { if case .markup = self { true } else { false } }

    /// The elements of a list.
    var list: [TemplateValue]? {
        guard case .sequence(let sequence) = self, case .list = sequence.kind else { return nil }
        return sequence.elements
    }

    /// A whole number, or a truth value as Python counts it.
    var whole: Int? {
        switch self {
        case .bool(let value): value ? 1 : 0
        case .integer(let value): value
        default: nil
        }
    }

    /// The number of a number, or of a truth value.
    var numeric: Double? { if case .number(let value) = self { value } else { whole.map { Double($0) } } }

    var isTrue: Bool {
        switch self {
        case .undefined, .none: false
        case .bool(let value): value
        case .integer(let value): value != 0
        case .number(let value): value != 0
        case .string(let value), .markup(let value): !value.isEmpty
        case .sequence(let value): !value.elements.isEmpty
        case .dictionary(let value): !value.entries.isEmpty
        case .iterator, .object: true
        }
    }

    /// How many values are inside one another.
    var depth: Int {
        switch self {
        case .sequence(let value): value.depth
        case .dictionary(let value): value.depth
        case .iterator(let value): value.depth
        default: 0
        }
    }

    /// What the value is, in the words of an error message.
    var kind: String {
        switch self {
        case .undefined(let name): "\(name), which is not defined"
        case .none: "None"
        case .bool(let value): value ? "True" : "False"
        case .integer(let value): "\(value)"
        case .number(let value): "\(value)"
        case .string(let value), .markup(let value): "\"\(value.prefix(60))\""
        case .sequence(let value): "a \(value.kind.name) of \(value.elements.count)"
        case .dictionary(let value): "a dictionary with \(value.entries.count) keys"
        case .iterator: "an iterator"
        case .object(let value): value.kind
        }
    }
}
