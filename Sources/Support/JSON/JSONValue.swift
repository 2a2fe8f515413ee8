/// A JSON value. Integers and other numbers are kept apart, and objects keep the order of their keys, so that a file
/// can be written back as it was read.
public enum JSONValue: Sendable, Equatable {
    case null
    case bool(Bool)
    case integer(Int)
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object(JSONObject)

    /// What the value is, for messages: `"llama"`, `12`, `an array of 3`.
    public var summary: String {
        switch self {
        case .array(let values): "an array of \(values.count)"
        case .object(let object): "an object of \(object.count) keys"
        case .string(let string) where string.count > 60: "a string of \(string.count) characters"
        default: text()
        }
    }

    /// The value under `key` of an object; nil for other values and absent keys.
    public subscript(key: String) -> JSONValue? {
        if case .object(let object) = self { object[key] } else { nil }
    }

    /// The object; nil for other values.
    public var objectValue: JSONObject? { if case .object(let object) = self { object } else { nil } }
    /// The array's elements; nil for other values.
    public var arrayValue: [JSONValue]? { if case .array(let array) = self { array } else { nil } }
    /// The string; nil for other values.
    public var stringValue: String? { if case .string(let string) = self { string } else { nil } }
    /// The boolean; nil for other values.
    public var boolValue: Bool? { if case .bool(let bool) = self { bool } else { nil } }
    /// The integer; nil for other values, numbers with a fraction among them.
    public var integerValue: Int? { if case .integer(let integer) = self { integer } else { nil } }
    /// An integer or another number.
    public var doubleValue: Double? {
        switch self {
        case .integer(let integer): Double(integer)
        case .number(let number): number
        default: nil
        }
    }
}

extension JSONValue: ExpressibleByNilLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByFloatLiteral, ExpressibleByStringLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    public init(nilLiteral: ()) { self = .null }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(integerLiteral value: Int) { self = .integer(value) }
    public init(floatLiteral value: Double) { self = .number(value) }
    public init(stringLiteral value: String) { self = .string(value) }
    public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
    public init(dictionaryLiteral elements: (String, JSONValue)...) {
        self = .object(JSONObject(elements))
    }
}
