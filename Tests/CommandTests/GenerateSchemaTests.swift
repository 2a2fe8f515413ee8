import Foundation
import Support
import TestSupport
import Testing

@Suite("generate --json-schema", .timeLimit(.minutes(5)))
struct GenerateSchemaTests {
    private let place: TinyModel
    init() throws { place = try TinyModel() }

    private func generate(_ schema: String, _ arguments: String...) throws -> MoultProcess {
        let file = try place.write("schema.json", schema)
        return try MoultProcess(
            arguments: ["generate", place.teacher, "--prompt", "The fox", "--json-schema", file] + arguments)
    }

    @Test("the text is valid and ends by itself", arguments: ["0", "1"])
    func valid(_ temperature: String) throws {
        let schema = """
            {"type": "object", "properties": {"fox": {"type": "boolean"}, "n": {"type": "integer", "minimum": 0, "maximum": 99}},
             "required": ["fox", "n"]}
            """
        let result = try generate(schema, "--json", "--temperature", temperature).json()
        #expect(result["end"] == "complete")
        let text = try #require(result["text"]?.stringValue)
        let value = try JSONValue(parsing: Data(text.utf8), .strict)
        #expect(value["fox"]?.boolValue != nil)
        #expect(value["n"]?.integerValue.map { (0...99).contains($0) } == true)
        #expect(result["mask_milliseconds_median"]?.doubleValue != nil)
    }

    @Test("mistakes are named")
    func mistakes() throws {
        for (schema, words) in [
            ("{\"properties\": {\"a\": {\"not\": {}}}}", "schema.json#/properties/a/not: not is not supported"),
            ("{", "schema.json: not valid JSON at byte 1"),
            ("{\"type\": 1, \"type\": 2}", "the key type is there twice"),
            ("false", "no value is valid"),
        ] {
            let result = try generate(schema)
            #expect(result.status != 0 && result.error.contains(words), "\(result.error)")
            #expect(result.output.isEmpty)
        }
        let stopped = try generate("{}", "--stop", "x")
        #expect(stopped.status == 64 && stopped.error.contains("--json-schema: expected one text"))
    }
}
