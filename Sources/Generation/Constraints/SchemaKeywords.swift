import Foundation
import Support

/// Kinds of JSON values, as `type` names them.
enum SchemaType: String, CaseIterable { case null, boolean, object, array, string, number, integer }

/// What is known of the keywords of JSON Schema (draft 2020-12).
enum SchemaKeywords {
    /// Of each keyword that says something of values of one kind alone, that kind.
    static let kinds: [String: SchemaType] = [
        "properties": .object, "required": .object, "additionalProperties": .object, "items": .array,
        "prefixItems": .array, "minItems": .array, "maxItems": .array, "uniqueItems": .array, "minLength": .string,
        "maxLength": .string, "pattern": .string, "format": .string, "minimum": .number, "maximum": .number,
        "exclusiveMinimum": .number, "exclusiveMaximum": .number,
    ]
    /// Those that say something of all values.
    static let general: Set<String> = ["type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref"]
    /// Those that restrict nothing.
    static let annotations: Set<String> = [
        "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "$comment", "$schema",
        "$id",
        "$defs", "definitions", "discriminator",
    ]

    /// Texts of each `format` that is supported, as a regular expression.
    static let formats: [String: String] = {
        let date =
            "[1-9][0-9]{3}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
        let clock = "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?"
        let zone = "(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
        let byte = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
        let label = "[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
        return [
            "date": "^\(date)$", "time": "^\(clock)\(zone)$", "date-time": "^\(date)T\(clock)\(zone)$",
            "uuid": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", "ipv4": "^\(byte)(\\.\(byte)){3}$",
            "email": "^[a-zA-Z0-9_+-]{1,32}(\\.[a-zA-Z0-9_+-]{1,32})?@\(label)(\\.\(label)){1,3}$",
            "hostname": "^\(label)(\\.\(label)){0,3}$",
        ]
    }()
}
