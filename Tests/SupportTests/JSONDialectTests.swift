import Foundation
import Support
import Testing

@Suite("One JSON, strict or lenient")
struct JSONDialectTests {
    private func parse(_ text: String, _ dialect: JSONDialect) throws -> JSONValue {
        try JSONValue(parsing: Data(text.utf8), dialect)
    }

    @Test("a key that appears twice is refused, or the last counts")
    func repeatedKeys() throws {
        let text = #"{"a": 1, "b": 2, "a": 3}"#
        #expect(throws: JSONFault.duplicate(key: "a")) { try parse(text, .strict) }
        for dialect in [JSONDialect.foreign, .python] { #expect(try parse(text, dialect)["a"] == 3) }
    }

    @Test("keys are compared by their bytes", arguments: [JSONDialect.strict, .foreign, .python])
    func bytes(_ dialect: JSONDialect) throws {
        let value = try parse(#"{"\u00e9": 1, "e\u0301": 2}"#, dialect)
        #expect(value.objectValue?.count == 2 && value["\u{E9}"] == 1 && value["e\u{301}"] == 2)
    }

    @Test("what only Python reads")
    func python() throws {
        for text in ["NaN", "-Infinity", "1e999", #""\ud800""#] {
            #expect(throws: JSONFault.self) { try parse(text, .strict) }
            #expect(throws: JSONFault.self) { try parse(text, .foreign) }
            #expect(throws: Never.self) { try parse(text, .python) }
        }
        for dialect in [JSONDialect.strict, .foreign, .python] {
            #expect(throws: JSONFault.self) { try parse("[01]", dialect) }
        }
    }

    @Test("nesting has a limit", arguments: [(JSONDialect.strict, 64), (.foreign, 128), (.python, 512)])
    func depth(_ dialect: JSONDialect, _ depth: Int) throws {
        let deep = String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        #expect(throws: Never.self) { try parse(deep, dialect) }
        #expect(throws: JSONFault.malformed(offset: depth, problem: "nested deeper than \(depth) levels")) {
            try parse("[\(deep)]", dialect)
        }
    }

    @Test("objects keep their order, however many keys are set and removed")
    func order() {
        var object = JSONObject()
        for number in 0..<40 { object["k\(number)"] = .integer(number) }
        for number in stride(from: 0, to: 40, by: 3) { object["k\(number)"] = nil }
        object["k1"] = "new"
        object["k0"] = "last"
        #expect(object.keys == (0..<40).filter { $0 % 3 != 0 }.map { "k\($0)" } + ["k0"])
        #expect(object["k1"] == "new" && object["k38"] == 38 && object["k39"] == nil && object["k0"] == "last")
        #expect(object == JSONObject(object.pairs.reversed().map { ($0.key, $0.value) }))
        #expect(object != JSONObject(object.pairs.dropLast().map { ($0.key, $0.value) }))
    }
}
