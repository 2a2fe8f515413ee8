import Foundation
import Support

/// The fields of a request's JSON object, read one by one. What nobody has read is refused by its name at the end, so that
/// nothing is silently ignored. `null` is as if a field were not there.
struct RequestFields {
    private let object: JSONObject
    private var known: Set<String> = []
    /// What stands before the names in errors, of objects within others.
    let prefix: String

    init(_ object: JSONObject, in prefix: String = "") { (self.object, self.prefix) = (object, prefix) }

    /// - Throws: ``APIError`` for a body that is no JSON object.
    init(body: [UInt8]) throws {
        let value: JSONValue
        do { value = try JSONValue(parsing: body, .strict) } catch JSONFault.malformed(let offset, let problem) {
            throw APIError.invalid(
                nil, "the body is not valid JSON at byte \(offset): \(problem)", code: "invalid_json")
        } catch JSONFault.duplicate(let key) {
            throw APIError.invalid(
                nil, "the body has the key \(ForeignText.line(key, limit: 80)) twice", code: "invalid_json")
        }
        guard let object = value.objectValue else {
            throw APIError.invalid(
                nil, "the body: expected a JSON object, found \(value.summary)", code: "invalid_json")
        }
        self.init(object)
    }

    mutating func value(_ name: String) -> JSONValue? {
        known.insert(name)
        guard let value = object[name], value != .null else { return nil }
        return value
    }

    func mistake(_ name: String, _ expected: String, _ found: JSONValue) -> APIError {
        let field = prefix + name
        return .invalid(field, "\(field): expected \(expected), found \(ForeignText.line(found.summary, limit: 80))")
    }

    private mutating func read<Value>(
        _ name: String, _ expected: String, _ convert: (JSONValue) -> Value?
    ) throws -> Value? {
        guard let value = value(name) else { return nil }
        guard let converted = convert(value) else { throw mistake(name, expected, value) }
        return converted
    }

    mutating func integer(_ name: String, _ range: ClosedRange<Int>, _ expected: String? = nil) throws -> Int? {
        let words =
            range.upperBound == .max ? "\(range.lowerBound) or more" : "\(range.lowerBound) to \(range.upperBound)"
        return try read(name, expected ?? "a whole number, \(words)") {
            $0.integerValue.flatMap { range.contains($0) ? $0 : nil }
        }
    }

    mutating func number(_ name: String, _ range: ClosedRange<Double>) throws -> Double? {
        let words =
            range.upperBound == .infinity ? "\(range.lowerBound) or more" : "\(range.lowerBound) to \(range.upperBound)"
        return try read(name, "a number, \(words)") { $0.doubleValue.flatMap { range.contains($0) ? $0 : nil } }
    }

    mutating func bool(_ name: String) throws -> Bool? { try read(name, "true or false", \.boolValue) }

    mutating func string(_ name: String) throws -> String? { try read(name, "a string", \.stringValue) }

    mutating func object(_ name: String) throws -> JSONObject? { try read(name, "an object", \.objectValue) }

    mutating func array(_ name: String) throws -> [JSONValue]? { try read(name, "an array", \.arrayValue) }

    /// Refuses fields that are there and that this server does not do, but for values that ask for nothing.
    mutating func refuse(_ names: [String], unless harmless: [JSONValue] = [], _ reason: String = "is not supported")
        throws
    {
        for name in names {
            guard let value = value(name), !harmless.contains(value) else { continue }
            throw APIError.unsupported(prefix + name, reason)
        }
    }

    /// Fields that change nothing of an answer.
    mutating func ignore(_ names: [String]) { known.formUnion(names) }

    /// - Throws: ``APIError`` that names a field which nobody has read.
    func finish() throws {
        if let name = object.keys.first(where: { !known.contains($0) }) {
            let field = prefix + ForeignText.line(name, limit: 80)
            throw APIError.invalid(field, "unknown field: \(field)", code: "unknown_parameter")
        }
    }
}
