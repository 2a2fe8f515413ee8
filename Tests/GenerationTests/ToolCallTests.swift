import Foundation
import Generation
import Support
import Testing

@Suite("Calls of functions")
struct ToolCallTests {
    typealias Part = ToolCallParser.Part

    private static func call(_ name: String, _ arguments: String) -> Part {
        .call(ChatToolCall(name: name, arguments: arguments))
    }

    static let answers: [(format: ToolFormat, text: String, parts: [Part])] = [
        (.hermes, "Just text.", [.text("Just text.")]),
        (.hermes, "a < b <tool", [.text("a < b <tool")]),
        (
            .hermes, "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"x\": 1.50}}\n</tool_call>",
            [call("f", "{\"x\": 1.50}")]
        ),
        (
            .hermes,
            "Sure: <tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>\n<tool_call>{\"name\":\"g\"}</tool_call>\n",
            [.text("Sure:"), call("f", "{}"), call("g", "{}")]
        ),
        (
            .hermes,
            "<tool_call>[{\"name\":\"f\",\"arguments\":{\"s\":\"}</b>\"}},{\"name\":\"g\",\"arguments\":{}}]</tool_call>",
            [call("f", "{\"s\":\"}</b>\"}"), call("g", "{}")]
        ),
        (.hermes, "<tool_call>{\"name\":\"f\",\"arguments\":{\"a\":[1]}}", [call("f", "{\"a\":[1]}")]),
        (
            .hermes, "<tool_call>{\"name\": 5}</tool_call>.",
            [.text("<tool_call>{\"name\": 5}</tool_call>"), .text(".")]
        ),
        (.hermes, "<tool_call>{\"name\":\"f\",\"argu", [.text("<tool_call>{\"name\":\"f\",\"argu")]),
        (
            .described, "<tool_call>{\"arguments\":\"{\\\"a\\\":1}\",\"name\":\"f\"}</tool_call>",
            [call("f", "{\"a\":1}")]
        ),
        (.llama, "{\"name\": \"f\", \"parameters\": {\"x\": \"y\"}}", [call("f", "{\"x\": \"y\"}")]),
        (
            .llama,
            "<|python_tag|>{\"name\": \"f\", \"parameters\": {}}; {\"name\": \"g\", \"parameters\": {\"parameters\": 1}}",
            [call("f", "{}"), call("g", "{\"parameters\": 1}")]
        ),
        (.llama, "{not JSON}", [.text("{not JSON}")]), (.llama, "{\"answer\": 42}", [.text("{\"answer\": 42}")]),
        (.llama, "Text {\"name\":\"f\",\"parameters\":{}}", [.text("Text {\"name\":\"f\",\"parameters\":{}}")]),
        (.mistral, "[TOOL_CALLS][{\"name\": \"f\", \"arguments\": {\"x\": 1}}]", [call("f", "{\"x\": 1}")]),
        (
            .mistral, "[{\"name\":\"f\",\"arguments\":{}}, {\"name\":\"g\",\"arguments\":{}}]",
            [call("f", "{}"), call("g", "{}")]
        ),
        (
            .mistral, "[TOOL_CALLS]f[ARGS]{\"x\": 1}[TOOL_CALLS]g{\"y\": {}}",
            [call("f", "{\"x\": 1}"), call("g", "{\"y\": {}}")]
        ),
        (.mistral, "[1, 2]", [.text("[1, 2]")]),
    ]

    /// Parts with adjacent texts joined.
    private func joined(_ parts: [Part]) -> [Part] {
        parts.reduce(into: []) { result, part in
            if case .text(let more) = part, case .text(let text)? = result.last {
                result[result.count - 1] = .text(text + more)
            } else {
                result.append(part)
            }
        }
    }

    @Test("however an answer is cut", arguments: answers)
    func cut(_ answer: (format: ToolFormat, text: String, parts: [Part])) {
        let expected = joined(answer.parts)
        #expect(joined(ToolCallParser.parts(of: answer.text, answer.format)) == expected)
        for size in 1...7 {
            var parser = ToolCallParser(answer.format)
            var (parts, rest) = ([Part](), Substring(answer.text))
            while !rest.isEmpty {
                parts += parser.push(String(rest.prefix(size)))
                rest = rest.dropFirst(size)
            }
            parts += parser.finish()
            #expect(joined(parts) == expected, "\(answer.text) by \(size)")
        }
    }

    @Test func textIsGivenOutAsItComes() {
        var parser = ToolCallParser(.hermes)
        #expect(parser.push("One ") == [.text("One")])
        #expect(parser.push("two <") == [.text(" two")])
        #expect(parser.push("3") == [.text(" <3")])
    }

    private static let tools = [
        ChatTool(
            name: "weather",
            parameters: [
                "type": "object", "properties": ["city": ["type": "string", "maxLength": 5]], "required": ["city"],
            ], description: ["type": "function", "function": ["name": "weather"]]),
        ChatTool(name: "now", parameters: ["type": "object", "properties": [:]], description: [:]),
    ]

    @Test("a form is what its parser reads", arguments: [ToolFormat.hermes, .llama, .mistral, .described])
    func forms(_ format: ToolFormat) throws {
        let writer = try RandomWriter()
        let form = format.form(Self.tools, severalCalls: true, names: ["", ""])
        let constraint = try TokenConstraint(form, vocabulary: writer.vocabulary)
        var generator = SplitMix64(seed: 3)
        var counts: Set<Int> = []
        for _ in 0..<60 {
            guard let text = try writer.text(constraint, &generator, ending: -6) else { continue }
            let parts = ToolCallParser.parts(of: text, format)
            counts.insert(parts.count)
            for part in parts {
                guard case .call(let call) = part else {
                    Issue.record("\(text): \(part)")
                    continue
                }
                let arguments = try parsed(call.arguments)
                if call.name == "weather" {
                    #expect(arguments["city"]?.stringValue.map { $0.unicodeScalars.count <= 5 } == true)
                } else {
                    #expect(call.name == "now" && arguments == [:])
                }
            }
        }
        #expect(counts.count > 1 && counts.allSatisfy { (1...ToolFormat.mostCalls).contains($0) }, "\(counts)")
    }

    @Test func aCallThatHasBegunIsBound() throws {
        let tokenizer = try structuralTokenizer()
        let vocabulary = ConstraintVocabulary(tokenizer)
        let (form, trigger) = try #require(ToolFormat.hermes.begunForm(Self.tools, names: ["", ""]))
        let constraint = try TokenConstraint(form, vocabulary: vocabulary)
        // What is written until it is bound, and what it then may go on with.
        for (text, next) in [
            ("Well, <tool_call>", "\n{"), ("<tool_call><tool_call>", "{"), ("<tool_call>\n{\"name\": \"now", "\""),
        ] {
            var sequence = try SequenceConstraint(constraint, after: trigger)
            for byte in text.utf8 { try sequence.advance(Int32(byte)) }
            #expect(sequence.isActive, "\(text)")
            #expect(!sequence.isFinished)
            let mask = try #require(try sequence.mask(stops: [tokenizer.eosToken ?? -1]))
            #expect(next.utf8.allSatisfy { mask[Int32($0)] }, "\(text)")
            #expect(!mask[0x5A] && !mask[tokenizer.eosToken ?? -1])
        }
        var sequence = try SequenceConstraint(constraint, after: trigger)
        for byte in "<tool_cal".utf8 { try sequence.advance(Int32(byte)) }
        #expect(!sequence.isActive)
        for byte in "<tool_call>{\"name\": \"now\", \"arguments\": {}}</tool_call>".utf8 {
            try sequence.advance(Int32(byte))
        }
        #expect(!sequence.isActive, "the call has ended")
        #expect(!sequence.isFinished)
    }

    @Test func messagesForATemplateWithoutTools() throws {
        let messages: [JSONObject] = [
            ["role": "system", "content": "Be brief."], ["role": "user", "content": "Hi"],
            [
                "role": "assistant", "content": "",
                "tool_calls": [["function": ["name": "weather", "arguments": ["city": "Oslo"]]]],
            ],
            ["role": "tool", "content": "rain", "tool_call_id": "x"],
        ]
        let described = ToolFormat.described(messages, Self.tools)
        #expect(described[0]["content"]?.stringValue?.hasPrefix("Be brief.\n\nYou can call functions.") == true)
        #expect(described[0]["content"]?.stringValue?.contains("{\"name\":\"weather\"}") == true)
        #expect(
            described[2]["content"]
                == "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\":\"Oslo\"}}\n</tool_call>")
        #expect(described[2]["tool_calls"] == nil)
        #expect(described[3] == ["role": "user", "content": "<tool_response>\nrain\n</tool_response>"])
        #expect(ToolFormat.described([messages[1]], Self.tools)[0]["role"] == "system")
    }
}
