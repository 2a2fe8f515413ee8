import Checkpoints
import Support
import Testing

@Suite struct JSONTests {
    private func parse(_ text: String) throws -> JSONValue { try JSONValue(parsing: Array(text.utf8), file: "test") }

    @Test func values() throws {
        let text =
            #" {"a" : [1, -2.5e1, true, false, null, 0], "b": {"é\n\u00e9\ud83d\ude00\/": "\"\\"}, "c": [], "d": {}} "#
        let expected: JSONValue = [
            "a": [1, -25.0, true, false, nil, 0], "b": ["é\né😀/": "\"\\"], "c": [], "d": [:],
        ]
        #expect(try parse(text) == expected)
        #expect(try parse(expected.text()) == expected)
        #expect(try parse(expected.text(indented: true)) == expected)
        #expect(try parse("9223372036854775807") == .integer(.max))
        #expect(try parse("9223372036854775808") == .number(9223372036854775808))
        #expect(try parse("-0") == 0)
    }

    @Test func keepsTheOrderOfKeys() throws {
        let text = #"{"z":1,"a":{"y":2,"b":3}}"#
        #expect(try parse(text).text() == text)
        var object = try #require(parse(text).objectValue)
        object["a"] = nil
        object["m"] = 4
        object["z"] = 5
        #expect(JSONValue.object(object).text() == #"{"z":5,"m":4}"#)
    }

    @Test func decodesIntoOtherTypes() throws {
        struct Settings: Decodable, Equatable { let slots: Int, profile: String, window: Int? }
        let value = try parse(#"{"slots":64,"profile":"fla","window":null}"#)
        #expect(try value.decode(Settings.self) == Settings(slots: 64, profile: "fla", window: nil))
        #expect(try value.decode(JSONValue.self) == value)
    }

    @Test(arguments: [
        "", " ", "{", "[", "[1", "[1,]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "01", "1.", ".5", "+1", "1e",
        "--1", "tru",
        "nulll", "\"", "\"\\x\"", "\"\\u12\"", "\"\\ud800\"", "\"\\ud800\\u0041\"", "\"\\udc00\"", "\"\n\"", "1 2",
        "1e999",
        "NaN", "Infinity", "'a'", "[1 2]", "{\"a\":1,\"a\":2}", "{\"a\":{\"b\":1,\"\\u0062\":1}}",
    ])
    func malformed(_ text: String) {
        #expect(throws: CheckpointError.self) { try parse(text) }
    }

    @Test func depthAndEncoding() throws {
        let deep = String(repeating: "[", count: 64) + String(repeating: "]", count: 64)
        #expect(throws: Never.self) { try parse(deep) }
        #expect(throws: CheckpointError.self) { try parse("[\(deep)]") }
        #expect(throws: CheckpointError.self) { try parse(String(repeating: "[", count: 1_000_000)) }
        #expect(throws: CheckpointError.self) {
            try JSONValue(parsing: [0x22, 0xFF, 0x22] as [UInt8], file: "test")
        }
    }
}
