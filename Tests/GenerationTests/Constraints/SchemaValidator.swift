import Foundation
import Support

/// Says whether a value is valid by a JSON Schema, going by the words of the standard: apart from all that generates.
struct SchemaValidator {
    let document: JSONValue

    func isValid(_ value: JSONValue) -> Bool { isValid(value, document) }

    private func isValid(_ value: JSONValue, _ schema: JSONValue) -> Bool {
        if let bool = schema.boolValue { return bool }
        guard let object = schema.objectValue else { return false }
        return object.pairs.allSatisfy { isValid(value, $0.key, $0.value, schema) }
    }

    private func isValid(_ value: JSONValue, _ keyword: String, _ word: JSONValue, _ schema: JSONValue) -> Bool {
        let schemas = word.arrayValue ?? []
        switch keyword {
        case "type": return (word.arrayValue ?? [word]).contains { hasType(value, $0.stringValue ?? "") }
        case "enum": return schemas.contains { equal($0, value) }
        case "const": return equal(word, value)
        case "anyOf": return schemas.contains { isValid(value, $0) }
        case "oneOf": return schemas.count { isValid(value, $0) } == 1
        case "allOf": return schemas.allSatisfy { isValid(value, $0) }
        case "$ref":
            var target = document
            for step in word.stringValue?.split(separator: "/").dropFirst() ?? [] {
                let name = (step.removingPercentEncoding ?? "").replacingOccurrences(of: "~1", with: "/")
                    .replacingOccurrences(of: "~0", with: "~")
                guard let next = target[name] ?? Int(name).flatMap({ target.arrayValue?[$0] }) else { return false }
                target = next
            }
            return isValid(value, target)
        default: break
        }
        if let object = value.objectValue {
            switch keyword {
            case "properties":
                return object.pairs.allSatisfy { key, value in word[key].map { isValid(value, $0) } ?? true }
            case "required": return schemas.allSatisfy { $0.stringValue.map { object[$0] != nil } ?? false }
            case "additionalProperties":
                return object.pairs.allSatisfy { key, value in schema["properties"]?[key] != nil || isValid(value, word)
                }
            default: break
            }
        }
        if let items = value.arrayValue {
            let prefix = schema["prefixItems"]?.arrayValue ?? []
            switch keyword {
            case "items": return items.dropFirst(prefix.count).allSatisfy { isValid($0, word) }
            case "prefixItems": return zip(items, schemas).allSatisfy { isValid($0, $1) }
            case "minItems": return items.count >= word.integerValue ?? 0
            case "maxItems": return items.count <= word.integerValue ?? 0
            default: break
            }
        }
        if let text = value.stringValue {
            switch keyword {
            case "minLength": return text.unicodeScalars.count >= word.integerValue ?? 0
            case "maxLength": return text.unicodeScalars.count <= word.integerValue ?? 0
            case "pattern": return text.range(of: word.stringValue ?? "", options: .regularExpression) != nil
            default: break
            }
        }
        if let number = value.doubleValue, let bound = word.doubleValue {
            switch keyword {
            case "minimum": return number >= bound
            case "maximum": return number <= bound
            case "exclusiveMinimum": return number > bound
            case "exclusiveMaximum": return number < bound
            default: break
            }
        }
        return true
    }

    private func hasType(_ value: JSONValue, _ type: String) -> Bool {
        switch value {
        case .null: type == "null"
        case .bool: type == "boolean"
        case .object: type == "object"
        case .array: type == "array"
        case .string: type == "string"
        case .integer: type == "integer" || type == "number"
        case .number(let number): type == "number" || type == "integer" && number == number.rounded()
        }
    }

    private func equal(_ left: JSONValue, _ right: JSONValue) -> Bool {
        left == right || left.doubleValue != nil && left.doubleValue == right.doubleValue
    }
}
