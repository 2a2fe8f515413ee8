import Foundation
import Generation
import Support
import TestSupport
import Testing

@Suite("Constraints: schemas")
struct SchemaTests {
    static let schemas: [String] = [
        #"true"#, #"{}"#, #"{"type": "object"}"#, #"{"type": "array"}"#, #"{"type": "string"}"#, #"{"type": "number"}"#,
        #"{"type": "integer"}"#, #"{"type": ["null", "boolean"]}"#, #"{"const": {"a": [1, "é\n", null]}}"#,
        #"{"enum": ["a", "ab", "abc", 1, 12, 1.5, null, true, [], {}, "日本", "\"\\"]}"#,
        #"{"type": "string", "enum": ["x", 1]}"#,
        #"""
        {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0, "maximum": 130},
         "é": {"type": "boolean"}}, "required": ["age", "name"]}
        """#,
        #"""
        {"type": "object", "properties": {"a": {"type": "null"}, "b": {"type": "null"}, "c": {"type": "null"}}, "required": ["b"],
         "additionalProperties": {"type": "integer"}}
        """#,
        #"{"type": "object", "additionalProperties": {"type": "string", "maxLength": 3}}"#,
        #"{"type": "object", "properties": {"abc": true, "abd": true, "日": true}, "additionalProperties": {"type": "null"}}"#,
        #"{"type": "object", "required": ["z"], "properties": {"y": false, "w": {"type": "null"}}}"#,
        #"{"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 4}"#,
        #"{"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "minItems": 1}"#,
        #"{"type": "array", "prefixItems": [{"type": "string"}], "items": {"type": "null"}, "minItems": 3}"#,
        #"{"type": "array", "prefixItems": [{"const": 1}], "items": false}"#,
        #"{"type": "array", "items": {"type": "array", "items": {"type": "boolean"}, "maxItems": 2}, "minItems": 1}"#,
        #"{"type": "string", "minLength": 2, "maxLength": 5}"#, #"{"type": "string", "minLength": 70}"#,
        #"{"minLength": 3, "minimum": 2}"#, #"{"type": "string", "maxLength": 0}"#,
        #"{"type": "string", "pattern": "^[a-z]{2,4}-\\d+$"}"#,
        #"{"type": "string", "pattern": "^(foo|ba[rz])+\\.?$"}"#,
        #"{"type": "string", "pattern": "[a-z\"]"}"#,
        #"{"type": "string", "pattern": "^[^\\x00-\\x1f]{1,3}é[\"\\\\]$"}"#,
        #"{"type": "string", "pattern": "^\\w+(?: \\w+){0,2}$"}"#, #"{"type": "string", "pattern": "^.{3}$"}"#,
        #"{"type": "string", "format": "date"}"#, #"{"type": "string", "format": "date-time"}"#,
        #"{"type": "string", "format": "time"}"#, #"{"type": "string", "format": "uuid"}"#,
        #"{"type": "string", "format": "ipv4"}"#, #"{"type": "string", "format": "email"}"#,
        #"{"type": "string", "format": "hostname"}"#,
        #"{"type": "integer", "minimum": -17, "maximum": 203}"#, #"{"type": "integer", "exclusiveMinimum": 3}"#,
        #"{"type": "integer", "maximum": -5}"#, #"{"type": "integer", "minimum": 1.5, "exclusiveMaximum": 100}"#,
        #"{"type": "number", "minimum": 0, "maximum": 1}"#, #"{"type": "number", "exclusiveMinimum": 0}"#,
        #"{"type": "number", "minimum": 0.25, "exclusiveMaximum": 0.375}"#, #"{"type": "number", "maximum": -0.5}"#,
        #"{"type": "number", "minimum": -2.75, "maximum": 13.5}"#, #"{"type": "number", "exclusiveMaximum": 0}"#,
        #"{"type": "number", "exclusiveMinimum": 99.5, "exclusiveMaximum": 100.25}"#,
        #"{"anyOf": [{"type": "integer"}, {"type": "string", "maxLength": 4}, {"type": "null"}]}"#,
        #"""
        {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"],
         "anyOf": [{"properties": {"x": {"type": "null"}}, "required": ["x"]}, {"properties": {"y": {"type": "boolean"}}}]}
        """#,
        #"""
        {"oneOf": [
          {"type": "object", "properties": {"kind": {"const": "cat"}, "lives": {"type": "integer"}}, "required": ["kind", "lives"]},
          {"type": "object", "properties": {"kind": {"const": "dog"}, "good": {"type": "boolean"}}, "required": ["kind"]},
          {"type": "string", "maxLength": 3}, {"enum": [1, 2]}]}
        """#,
        #"""
        {"allOf": [{"$ref": "#/$defs/base"}, {"properties": {"b": {"type": "integer", "maximum": 9}}, "required": ["b"]}],
         "$defs": {"base": {"type": "object", "properties": {"a": {"type": "null"}, "b": {"type": "number", "minimum": 5}}, "required": ["a"]}}}
        """#,
        #"{"allOf": [{"type": ["number", "string"]}, {"type": ["integer", "null"]}, {"minimum": 7}]}"#,
        #"""
        {"$ref": "#/$defs/tree", "$defs": {"tree": {"type": "object", "properties": {"value": {"type": "integer"},
         "children": {"type": "array", "items": {"$ref": "#/$defs/tree"}, "maxItems": 3}}, "required": ["value"]}}}
        """#,
        #"""
        {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}, "required": ["next"],
         "additionalProperties": false}
        """#,
        #"""
        {"definitions": {"a/b~c d": {"type": "array", "items": {"$ref": "#/definitions/even"}}, "even": {"anyOf": [{"const": 0},
         {"type": "object", "properties": {"odd": {"$ref": "#/definitions/odd"}}, "required": ["odd"]}]},
         "odd": {"type": "object", "properties": {"even": {"$ref": "#/definitions/even"}}, "required": ["even"]}},
         "$ref": "#/definitions/a~1b~0c%20d"}
        """#,
        #"""
        {"title": "T", "description": "d", "default": 1, "examples": [], "$schema": "x", "$comment": "c", "type": "object",
         "properties": {"properties": {"type": "string", "maxLength": 2}, "enum": {"type": "null"}}, "required": ["enum"]}
        """#,
    ]

    @Test("everything that is generated is valid", arguments: schemas)
    func valid(_ text: String) throws {
        let schema = try parsed(text)
        let writer = try RandomWriter()
        let constraint = try TokenConstraint(.schema(schema), vocabulary: writer.vocabulary)
        let validator = SchemaValidator(document: schema)
        var generator = SplitMix64(seed: 7)
        var (ended, found) = (0, Set<String>())
        for _ in 0..<100 {
            guard let written = try writer.text(constraint, &generator) else { continue }
            ended += 1
            found.insert(written)
            let value = try parsed(written)
            #expect(validator.isValid(value), "\(text): \(written)")
        }
        #expect(ended >= 95, "\(text): only \(ended) texts ended")
        let isOne = text.contains("\"const\": {") || text.contains("\"maxLength\": 0") || text.contains("\"x\", 1")
        #expect(found.count > (isOne ? 0 : 1), "\(text): always \(found)")
    }

    @Test(
        "what is valid and in order is let through, and nothing else",
        arguments: [
            (
                #"{"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}}, "required": ["a"]}"#,
                [
                    "{\"a\":1}", "{ \"a\":1 }", "{\"a\": 1, \"b\": \"x\"}",
                    "{\n  \"a\": 1,\n  \"b\": \"\\u00e9\\ud83d\\ude00\"\n}",
                ],
                [
                    "{}", "{\"b\":\"x\"}", "{\"a\":1,}", "{\"a\":1,\"c\":2}", "{\"b\":\"x\",\"a\":1}", "{\"a\":01}",
                    "{\"a\":1.0}", "{\"a\":\"1\"}",
                    "{\"a\":1}x", " {\"a\":1}", "{\"a\":1} ", "{\"a\":1,\"b\":\"\\ud83d\"}",
                    "{\"a\":1,\"b\":\"\\ude00\"}",
                    "{\"a\":1,\"b\":\"\n\"}", "{\"a\":1,\"a\":2}", "{\t\"a\":1}", "{\"a\" :1}",
                ]
            ),
            (
                #"{"type": "integer", "minimum": -12, "maximum": 105}"#, ["-12", "-9", "0", "7", "99", "100", "105"],
                ["-13", "-0", "106", "110", "200", "1000", "00", "1.0", "1e1", "-", ""]
            ),
            (
                #"{"type": "number", "minimum": 0.25, "exclusiveMaximum": 10}"#,
                ["0.25", "0.250", "0.3", "1", "9.99", "9", "0.2500001"],
                ["0", "0.2", "0.24999", "10", "10.0", "0.", "-1", "1e1", "11"]
            ),
            (
                #"{"type": "number", "exclusiveMinimum": -1.5, "maximum": 2}"#,
                ["-1.49", "-1", "0", "-0.5", "2", "2.0", "1.99"],
                ["-1.5", "-1.50", "-2", "2.01", "3", "-0.0"]
            ),
            (
                #"{"type": "number"}"#, ["0", "-0", "1.5e-7", "12E+10", "999999999999999.1234567890123456"],
                ["1000000000000000", "1e100", ".5", "+1", "1.", "NaN", "0x1"]
            ),
            (
                #"{"type": "string", "maxLength": 2}"#,
                ["\"\"", "\"é\"", "\"日本\"", "\"\\n\\n\"", "\"\\ud83d\\ude00x\""], ["\"abc\"", "\"日本x\"", "'a'", "\"a"]
            ),
            (
                #"{"type": "string", "pattern": "^a|b$"}"#, ["\"a\"", "\"axx\"", "\"xb\""],
                ["\"xa\"", "\"\"", "\"bx\""]
            ),
            (
                #"{"type": "string", "pattern": "b+$"}"#, ["\"b\"", "\"xxbb\"", "\"\u{1F600}b\""],
                ["\"\"", "\"bx\"", "\"b\\n\""]
            ),
            (
                #"{"type": "array", "items": {"type": "null"}}"#, ["[]", "[null]", "[ null, null ]"],
                ["[null,]", "[,]", "[1]", "[null null]"]
            ),
            (
                #"{"properties": {"a": {}}, "additionalProperties": {"type": "null"}, "type": "object"}"#,
                ["{}", "{\"a\":[{}]}", "{\"b\":null}", "{\"a\":1,\"\":null,\"ab\":null}"],
                ["{\"b\":1}", "{\"b\":null,\"a\":null}", "{\"\\u0061\":null}"]
            ),
        ])
    func exact(_ schema: String, _ accepted: [String], _ refused: [String]) throws {
        let writer = try RandomWriter()
        let constraint = try TokenConstraint(.schema(parsed(schema)), vocabulary: writer.vocabulary)
        for text in accepted { #expect(try writer.accepts(constraint, text), "\(schema): \(text)") }
        for text in refused { #expect(try !writer.accepts(constraint, text), "\(schema): \(text)") }
    }

    @Test(
        "what is not supported is refused by its name and place",
        arguments: [
            (##"{"not": {}}"##, "#/not"), (##"{"if": {}, "then": {}}"##, "#/if"),
            (##"{"properties": {"a": {"multipleOf": 2}}, "type": "object"}"##, "#/properties/a/multipleOf"),
            (##"{"items": {"patternProperties": {}}}"##, "#/items/patternProperties"),
            (##"{"propertyNames": {}}"##, "#/propertyNames"),
            (##"{"minProperties": 1}"##, "#/minProperties"), (##"{"maxProperties": 1}"##, "#/maxProperties"),
            (##"{"uniqueItems": true}"##, "#/uniqueItems"), (##"{"contains": {}}"##, "#/contains"),
            (##"{"dependentRequired": {}}"##, "#/dependentRequired"),
            (##"{"unevaluatedProperties": false}"##, "#/unevaluatedProperties"),
            (##"{"$dynamicRef": "#"}"##, "#/$dynamicRef"), (##"{"nullable": true}"##, "#/nullable"),
            (##"{"a/b~": 1}"##, "#/a~1b~0"),
            (##"{"type": "text"}"##, "#/type"), (##"{"type": []}"##, "#/type"), (##"{"enum": []}"##, "#/enum"),
            (##"{"enum": 1}"##, "#/enum"),
            (##"{"format": "iri"}"##, "#/format"), (##"{"pattern": "(?=a)"}"##, "#/pattern"),
            (##"{"pattern": "\\bx"}"##, "#/pattern"),
            (##"{"pattern": "(a)\\1"}"##, "#/pattern"), (##"{"pattern": "["}"##, "#/pattern"),
            (##"{"pattern": "a{2,1}"}"##, "#/pattern"),
            (##"{"pattern": "a^b"}"##, "#/pattern"), (##"{"pattern": "*"}"##, "#/pattern"),
            (##"{"pattern": "(a"}"##, "#/pattern"),
            (##"{"pattern": "a)"}"##, "#/pattern"), (##"{"pattern": "a", "maxLength": 3}"##, "#/pattern"),
            (##"{"minLength": -1}"##, "#/minLength"), (##"{"maxItems": 1e3}"##, "#/maxItems"),
            (##"{"maxItems": 99999}"##, "#/maxItems"),
            (##"{"minimum": "1"}"##, "#/minimum"), (##"{"minimum": 1e20}"##, "#/minimum"),
            (##"{"items": [{}]}"##, "#/items"), (##"{"properties": []}"##, "#/properties"),
            (##"{"required": "a"}"##, "#/required"),
            (##"{"properties": {"a": 5}}"##, "#/properties/a"), (##"5"##, "#"),
            (##"{"$ref": "http://x/y"}"##, "#/$ref"),
            (##"{"$ref": "#/$defs/none"}"##, "#/$ref"), (##"{"$ref": 5}"##, "#/$ref"), (##"{"$ref": "#"}"##, "#/$ref"),
            (##"{"anyOf": [{"$ref": "#"}, {"type": "null"}]}"##, "#"), (##"{"anyOf": []}"##, "#/anyOf"),
            (##"{"allOf": 1}"##, "#/allOf"),
            (##"{"oneOf": [{"type": "integer"}, {"type": "number"}]}"##, "#/oneOf"),
            (##"{"oneOf": [{"minLength": 1}, {"maxLength": 2}]}"##, "#/oneOf"),
            (##"{"enum": ["a"], "minLength": 1}"##, "#/minLength"), (##"false"##, "#"),
            (##"{"type": "integer", "enum": ["a"]}"##, "#"),
            (##"{"allOf": [{"type": "string"}, {"type": "null"}]}"##, "#"), (##"{"minItems": 3, "maxItems": 2}"##, "#"),
            (##"{"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}"##, "#"),
            (##"{"type": "integer", "minimum": 3, "maximum": 2}"##, "#"),
        ])
    func refused(_ schema: String, _ pointer: String) throws {
        let vocabulary = ConstraintVocabulary(try structuralTokenizer())
        do {
            _ = try TokenConstraint(.schema(parsed(schema)), vocabulary: vocabulary)
            Issue.record("\(schema) was not refused")
        } catch let error as ConstraintError {
            #expect("\(error)".hasPrefix(pointer + ":"), "\(schema): \(error)")
        }
    }

    /// Deep, wide and exponential schemas.
    static let hostileSchemas: [String] = {
        func many(_ count: Int, _ text: (Int) -> String) -> String { (0..<count).map(text).joined(separator: ",") }
        func chain(_ count: Int, _ link: (String) -> String) -> String {
            let links = many(count) { "\"d\($0)\":" + link("{\"$ref\":\"#/$defs/d\($0 + 1)\"}") }
            return "{\"$ref\":\"#/$defs/d0\",\"$defs\":{\(links),\"d\(count)\":{\"type\":\"null\"}}}"
        }
        let long = String(repeating: "x", count: 100_000)
        var schemas: [String] = []
        schemas.append(
            String(repeating: "{\"items\":", count: 60) + "{\"type\":\"null\"}" + String(repeating: "}", count: 60))
        schemas.append("{\"enum\":[" + many(4096) { "\"v\($0)\"" } + "]}")
        schemas.append("{\"enum\":[" + many(50_000) { "\($0)" } + "]}")
        schemas.append(chain(40) { "{\"anyOf\":[\($0),\($0)]}" })
        schemas.append(chain(40) { "{\"allOf\":[\($0),\($0)]}" })
        schemas.append(chain(40) { "{\"type\":\"array\",\"items\":{\"anyOf\":[\($0),\($0)]}}" })
        schemas.append(chain(200) { $0 })
        schemas.append(
            "{\"allOf\":[" + many(20) { "{\"anyOf\":[{\"minLength\":\($0)},{\"maxLength\":\($0 + 50)}]}" } + "]}")
        schemas.append(
            "{\"type\":\"object\",\"properties\":{" + many(3000) { "\"key\($0)\":{\"type\":\"null\"}" } + "}}")
        schemas.append("{\"oneOf\":[" + many(2000) { "{\"const\":\($0)}" } + "]}")
        schemas += ["{\"type\":\"string\",\"maxLength\":65536}", "{\"type\":\"string\",\"minLength\":65536}"]
        schemas += [
            "^((((a{0,60000}){0,60000}){0,60000}))$", "^(((((){60000}){60000}){60000}))$", "(a|a)*(a|a)*(a|a)*(a|a)*b",
            "(.*)*(.*)*(.*)*x", String(repeating: "(", count: 3000),
        ].map { "{\"pattern\":\"\($0)\"}" }
        let strings = "{\"type\":\"string\",\"maxLength\":60000}"
        schemas.append("{\"maxItems\":4096,\"items\":{\"maxItems\":4096,\"items\":\(strings)}}")
        schemas.append(
            "{\"type\":\"object\",\"required\":[\"\(long)\"],\"properties\":{\"\(long)\":{\"type\":\"null\"}}}")
        return schemas
    }()

    @Test("a hostile schema ends with a word", arguments: hostileSchemas)
    func hostile(_ schema: String) throws {
        let writer = try RandomWriter()
        let start = ContinuousClock.now
        do {
            let constraint = try TokenConstraint(.schema(parsed(schema)), vocabulary: writer.vocabulary)
            var generator = SplitMix64(seed: 1)
            // To go by the words of these schemas takes for ever.
            if let text = try writer.text(constraint, &generator, limit: 200) { _ = try parsed(text) }
        } catch let error as ConstraintError {
            #expect(!"\(error)".isEmpty && "\(error)".count < 400)
        }
        let seconds = start.duration(to: .now) / .seconds(1)
        #expect(seconds < 10, "\(schema.prefix(60)) took \(seconds) s")
    }
}
