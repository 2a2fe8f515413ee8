import Checkpoints
import Support

/// The members of one line of metrics.jsonl, or of an object in it, with errors that say where.
struct MetricsFields {
    let object: JSONObject
    let file: String
    let line: Int
    /// The keys that lead to `object`, with a point after each.
    private let path: String

    init(_ object: JSONObject, file: String, line: Int, path: String = "") {
        (self.object, self.file, self.line, self.path) = (object, file, line, path)
    }

    func string(_ key: String) throws -> String { try value(key, "a string") { $0.stringValue } }
    func bool(_ key: String) throws -> Bool { try value(key, "true or false") { $0.boolValue } }

    /// An integer of at least 0.
    func count(_ key: String) throws -> Int { try value(key, "an integer of at least 0", Self.count) }

    /// A number; null, which stands for one that is not finite, is NaN.
    func number(_ key: String) throws -> Double { try value(key, "a number or null", Self.number) }

    /// As ``number(_:)``, for each of an array.
    func numbers(_ key: String) throws -> [Double] {
        try value(key, "an array of numbers or null") { Self.array($0, of: Self.number) }
    }

    /// Ranges written as [first, end].
    func ranges(_ key: String) throws -> [Range<Int>] {
        try value(key, "an array of [first, end]") {
            Self.array($0) {
                guard let bounds = Self.array($0, of: Self.count), bounds.count == 2, bounds[0] < bounds[1] else {
                    return nil
                }
                return bounds[0]..<bounds[1]
            }
        }
    }

    /// The members of an object under `key`.
    func fields(_ key: String) throws -> MetricsFields {
        MetricsFields(
            try value(key, "an object") { $0.objectValue }, file: file, line: line, path: "\(path)\(key).")
    }

    /// The members of each object of an array under `key`.
    func list(_ key: String) throws -> [MetricsFields] {
        let objects = try value(key, "an array of objects") { Self.array($0) { $0.objectValue } }
        return objects.enumerated().map { index, object in
            MetricsFields(object, file: file, line: line, path: "\(path)\(key)[\(index)].")
        }
    }

    /// What `read` makes of `key`; nil when that is absent or null.
    func optional<Value>(_ key: String, _ read: (MetricsFields) -> (String) throws -> Value) throws -> Value? {
        guard let value = object[key], value != .null else { return nil }
        return try read(self)(key)
    }

    func malformed(_ key: String, expected: String) -> MetricsError {
        .malformed(
            file: file, line: line, key: path + key, expected: expected, found: object[key]?.summary ?? "nothing")
    }

    private func value<Value>(_ key: String, _ expected: String, _ read: (JSONValue) -> Value?) throws -> Value {
        guard let value = object[key].flatMap(read) else { throw malformed(key, expected: expected) }
        return value
    }

    private static func count(_ value: JSONValue) -> Int? { value.integerValue.flatMap { $0 >= 0 ? $0 : nil } }
    private static func number(_ value: JSONValue) -> Double? { value == .null ? .nan : value.doubleValue }

    /// Every element read; nil when one cannot be.
    private static func array<Element>(_ value: JSONValue, of read: (JSONValue) -> Element?) -> [Element]? {
        guard let values = value.arrayValue else { return nil }
        let elements = values.compactMap(read)
        return elements.count == values.count ? elements : nil
    }
}
