/// A JSON value whose objects keep the order of their keys; also the values that chat templates compute with.
///
/// Keys and strings are compared by their bytes, not by canonical equivalence as `String` compares: vocabularies hold
/// composed and decomposed forms of one character as different tokens.
public enum JSONValue: Sendable {
    case null
    case bool(Bool)
    case integer(Int)
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object(JSONObject)

    /// The value under `key` of an object; nil for other values and missing keys.
    public subscript(key: String) -> JSONValue? {
        if case .object(let object) = self { object[key] } else { nil }
    }

    var text: String? { if case .string(let value) = self { value } else { nil } }
    var flag: Bool? { if case .bool(let value) = self { value } else { nil } }
    var int: Int? { if case .integer(let value) = self { value } else { nil } }
    var double: Double? { if case .number(let value) = self { value } else { int.map(Double.init) } }
    var elements: [JSONValue]? { if case .array(let value) = self { value } else { nil } }
    var members: JSONObject? { if case .object(let value) = self { value } else { nil } }
    var isNull: Bool { if case .null = self { true } else { false } }

    /// What the value is, in the words of an error message.
    var kind: String {
        switch self {
        case .null: "null"
        case .bool(let value): "\(value)"
        case .integer(let value): "\(value)"
        case .number(let value): "\(value)"
        case .string(let value): "\"\(value.prefix(60))\""
        case .array(let value): "an array of \(value.count)"
        case .object(let value): "an object with \(value.entries.count) keys"
        }
    }
}

/// A JSON object: keys and values in their order.
public struct JSONObject: Sendable {
    /// The pairs in their order; a key may stand in several.
    public private(set) var entries: [(key: String, value: JSONValue)] = []

    /// An object of `entries`, in this order.
    public init(_ entries: [(key: String, value: JSONValue)] = []) {
        self.entries = entries
    }

    /// The value of the last entry with this key. Setting replaces it or appends.
    public subscript(key: String) -> JSONValue? {
        get { entries.last { $0.key.hasSameBytes(as: key) }?.value }
        set {
            let index = entries.lastIndex { $0.key.hasSameBytes(as: key) }
            switch (index, newValue) {
            case (let index?, let value?): entries[index].value = value
            case (let index?, nil): entries.remove(at: index)
            case (nil, let value?): entries.append((key, value))
            case (nil, nil): break
            }
        }
    }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByNilLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    public init(stringLiteral value: String) { self = .string(value) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(integerLiteral value: Int) { self = .integer(value) }
    public init(nilLiteral: ()) { self = .null }
    public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
    public init(dictionaryLiteral elements: (String, JSONValue)...) {
        self = .object(JSONObject(elements.map { (key: $0.0, value: $0.1) }))
    }
}
