import Foundation
import Support

/// A value in a JSON file together with where it stands, so that errors can say so.
struct JSONNode {
    let file: String
    let path: String
    let value: JSONValue

    /// The value under a key; nil where it is missing or null.
    func optional(_ key: String) -> JSONNode? {
        guard let member = value[key], !member.isNull else { return nil }
        return JSONNode(file: file, path: path.isEmpty ? key : "\(path).\(key)", value: member)
    }

    func required(_ key: String) throws -> JSONNode {
        guard let node = optional(key) else {
            throw TokenizerError.invalidValue(
                file: file, path: path.isEmpty ? key : "\(path).\(key)", expected: "a value", found: "nothing")
        }
        return node
    }

    func expected(_ what: String, found: String? = nil) -> TokenizerError {
        .invalidValue(file: file, path: path.isEmpty ? "the file" : path, expected: what, found: found ?? value.kind)
    }

    func unsupported(_ component: String, supported: String) -> TokenizerError {
        .unsupported(file: file, component: component, found: value.text ?? value.kind, supported: supported)
    }

    func string() throws -> String {
        guard let text = value.text else { throw expected("a string") }
        return text
    }

    func bool() throws -> Bool {
        guard let flag = value.flag else { throw expected("true or false") }
        return flag
    }

    /// A token id.
    func tokenID() throws -> Int {
        guard let id = value.int, 0...TokenTable.maximumID ~= id else {
            throw expected("a token id from 0 to \(TokenTable.maximumID)")
        }
        return id
    }

    func elements() throws -> [JSONNode] {
        guard let elements = value.elements else { throw expected("an array") }
        return elements.enumerated().map { JSONNode(file: file, path: "\(path)[\($0)]", value: $1) }
    }

    func members() throws -> JSONObject {
        guard let members = value.members else { throw expected("an object") }
        return members
    }

    /// The flag under a key, `fallback` where it is missing.
    func flag(_ key: String, default fallback: Bool) throws -> Bool {
        try optional(key)?.bool() ?? fallback
    }

    /// The components of a `Sequence` under `key`, or this component alone. One level of nesting after another.
    func flattened(_ key: String, depth: Int = 0) throws -> [JSONNode] {
        guard value["type"]?.text == "Sequence" else { return [self] }
        guard depth < 8 else { throw expected("fewer nested sequences") }
        return try required(key).elements().flatMap { try $0.flattened(key, depth: depth + 1) }
    }
}

extension JSONValue {
    /// The value of JSON text.
    ///
    /// - Throws: ``TokenizerError/invalidJSON(file:offset:reason:)``.
    public init(parsing text: String) throws { self = try JSONValue(parsing: Data(text.utf8), of: "the JSON text") }

    /// The value of a file that other programs have written.
    init(parsing data: Data, of file: String) throws {
        do { self = try JSONValue(parsing: data, .foreign) } catch JSONFault.malformed(let offset, let problem) {
            throw TokenizerError.invalidJSON(file: file, offset: offset, reason: problem)
        }
    }

    var text: String? { stringValue }
    var flag: Bool? { boolValue }
    var int: Int? { integerValue }
    var double: Double? { doubleValue }
    var elements: [JSONValue]? { arrayValue }
    var members: JSONObject? { objectValue }
    var isNull: Bool { if case .null = self { true } else { false } }

    /// What the value is, in the words of an error message.
    var kind: String {
        if case .string(let value) = self { "\"\(value.prefix(60))\"" } else { summary }
    }
}
