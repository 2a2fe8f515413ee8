import Foundation
import Generation
import Serving
import Support
import TestSupport
import Testing

@Suite("Serving: responses with tools and forms")
struct ResponseToolsTests {
    private let temporary: TemporaryFolder

    init() throws { temporary = try TemporaryFolder() }

    private static let schema: JSONValue = [
        "type": "object",
        "properties": [
            "size": ["type": "integer", "minimum": 1, "maximum": 9], "colour": ["enum": ["red", "green"]],
        ],
        "required": ["size", "colour"], "additionalProperties": false,
    ]

    private static let format: JSONValue = [
        "format": ["type": "json_schema", "name": "thing", "strict": true, "schema": schema]
    ]

    private static let tools: JSONValue = [
        [
            "type": "function", "name": "weather", "description": "Tells the weather.", "strict": true,
            "parameters": [
                "type": "object", "properties": ["city": ["enum": ["Oslo", "Rome"]]], "required": ["city"],
                "additionalProperties": false,
            ],
        ]
    ]

    private static func body(_ more: JSONObject) -> JSONValue {
        var body: JSONObject = ["input": "Hello", "max_output_tokens": 300, "temperature": 0]
        for (name, value) in more.pairs { body[name] = value }
        return .object(body)
    }

    private static func output(_ reply: Reply) throws -> [JSONValue] {
        try #require(reply.json["output"]?.arrayValue, "\(reply.body)")
    }

    private static func text(_ response: JSONValue?) -> String? {
        response?["output"]?.arrayValue?.last?["content"]?.arrayValue?[0]["text"]?.stringValue
    }

    @Test func anAnswerOfASchema() async throws {
        try await serving { client in
            let whole = try await client.post("/v1/responses", Self.body(["text": Self.format]))
            #expect(whole.json["status"] == "completed", "\(whole.body)")
            #expect(whole.json["text"] == Self.format)
            let text = try #require(Self.text(whole.json))
            let value = try JSONValue(parsing: Array(text.utf8), .strict)
            #expect(value["size"]?.integerValue.map { (1...9).contains($0) } == true, "\(text)")
            #expect(["red", "green"].contains(value["colour"]?.stringValue), "\(text)")

            let events = try await client.post("/v1/responses", Self.body(["text": Self.format, "stream": true]))
                .named()
            #expect(events.compactMap { $0.data["delta"]?.stringValue }.joined() == text)
            #expect(events.last?.name == "response.completed")

            // The next turn goes on from the end of the answer.
            let usage = try #require(whole.json["usage"])
            let (read, written) = (usage["input_tokens"]?.integerValue ?? 0, usage["output_tokens"]?.integerValue ?? 0)
            let next = try await client.post(
                "/v1/responses", Self.body(["previous_response_id": whole.json["id"] ?? .null]))
            #expect(next.json["usage"]?["input_tokens_details"]?["cached_tokens"] == .integer(read + written - 1))

            let object = try await client.post(
                "/v1/responses", Self.body(["text": ["format": ["type": "json_object"]], "max_output_tokens": 5]))
            #expect(Self.text(object.json)?.hasPrefix("{") == true)
            #expect(object.json["status"] == "incomplete")
        }
    }

    @Test func callsAndWhatTheyGive() async throws {
        let folder = "\(temporary.path)/states"
        let first = JSONBox()
        try await serving(options: { $0.stateFolder = folder }) { client in
            let asked: JSONObject = ["tools": Self.tools, "tool_choice": "required", "parallel_tool_calls": false]
            let whole = try await client.post("/v1/responses", Self.body(asked))
            let output = try Self.output(whole)
            #expect(output.count == 1 && whole.json["status"] == "completed")
            let call = output[0]
            #expect(call["type"] == "function_call" && call["status"] == "completed" && call["name"] == "weather")
            #expect(call["id"]?.stringValue?.hasPrefix("fc_") == true)
            let id = try #require(call["call_id"]?.stringValue)
            #expect(id.hasPrefix("call_"))
            let arguments = try #require(call["arguments"]?.stringValue)
            let city = try JSONValue(parsing: Array(arguments.utf8), .strict)["city"]?.stringValue
            #expect(["Oslo", "Rome"].contains(city))
            #expect(whole.json["tools"] == Self.tools && whole.json["tool_choice"] == "required")
            #expect(whole.json["parallel_tool_calls"] == false)

            var streamed = asked
            streamed["stream"] = true
            let events = try await client.post("/v1/responses", Self.body(streamed)).named()
            #expect(
                events.map(\.name) == [
                    "response.created", "response.in_progress", "response.output_item.added",
                    "response.function_call_arguments.delta", "response.function_call_arguments.done",
                    "response.output_item.done", "response.completed",
                ])
            #expect(events[2].data["item"]?["arguments"] == "" && events[2].data["item"]?["status"] == "in_progress")
            #expect(events[3].data["delta"] == .string(arguments) && events[4].data["arguments"] == .string(arguments))
            let item = events[5].data["item"]
            #expect(item == events[6].data["response"]?["output"]?.arrayValue?[0])
            for event in events[3...4] { #expect(event.data["item_id"] == item?["id"]) }

            // What the call gives goes on from it; so does the whole conversation in one request, with the same answer.
            let result: JSONValue = [
                "type": "function_call_output", "call_id": .string(id), "output": "sun, 20 degrees",
            ]
            first.value = whole.json
            let next = try await client.post(
                "/v1/responses",
                Self.body([
                    "previous_response_id": whole.json["id"] ?? .null, "input": [result], "tools": Self.tools,
                    "max_output_tokens": 12,
                ]))
            let answer = try #require(Self.text(next.json), "\(next.body)")
            #expect((next.json["usage"]?["input_tokens_details"]?["cached_tokens"]?.integerValue ?? 0) > 0)
            let again = try await client.post(
                "/v1/responses",
                Self.body([
                    "input": [["role": "user", "content": "Hello"], call, result], "tools": Self.tools,
                    "max_output_tokens": 12,
                ]))
            #expect(Self.text(again.json) == answer)
            #expect(again.json["usage"]?["input_tokens"] == next.json["usage"]?["input_tokens"])
        }
        // The call is part of the conversation after a restart, too.
        try await serving(options: { $0.stateFolder = folder }) { client in
            let id = first.value["id"]?.stringValue ?? ""
            #expect(try await client.get("/v1/responses/\(id)").json == first.value)
            let result: JSONValue = [
                "type": "function_call_output", "call_id": "x", "output": [["type": "input_text", "text": "rain"]],
            ]
            let next = try await client.post(
                "/v1/responses",
                Self.body(["previous_response_id": .string(id), "input": [result], "max_output_tokens": 4]))
            #expect(next.status == 200, "\(next.body)")
            let shorter = try await client.post(
                "/v1/responses",
                Self.body(["input": [["role": "user", "content": "Hello"], result], "max_output_tokens": 4]))
            let (with, without) = (next.json["usage"]?["input_tokens"], shorter.json["usage"]?["input_tokens"])
            #expect((with?.integerValue ?? 0) > (without?.integerValue ?? 0) + 40, "the call is in the prompt")
        }
    }

    /// A value that is handed from one server to the next.
    private final class JSONBox: @unchecked Sendable { var value = JSONValue.null }

    @Test func whatIsRefused() async throws {
        try await serving { client in
            let nested: JSONValue = [["type": "function", "function": ["name": "f"]]]
            for (fields, param) in [
                (["tool_choice": "required"], "tool_choice"),
                (["tools": Self.tools, "tool_choice": ["type": "function", "name": "other"]], "tool_choice"),
                (["tools": Self.tools, "text": Self.format], "text.format"),
                (["tools": nested], "tools[0].name"),
                (["tools": [["type": "web_search"]]], "tools[0].type"),
                (["text": ["format": ["type": "json_schema", "name": "a", "schema": ["not": [:]]]]], "text.format"),
                (["text": ["format": ["type": "json_schema", "name": "a"]]], "text.format.schema"),
                (["text": ["format": ["type": "json_schema", "schema": [:]]]], "text.format.name"),
                (["text": ["format": ["type": "yaml"]]], "text.format.type"),
                (["text": ["verbosity": "low"]], "text.verbosity"),
                (["text": Self.format, "stop": ["x"]], "stop"),
                (["input": [["type": "reasoning"]]], "input[0].type"),
                (["input": [["type": "function_call_output", "output": "x"]]], "input[0].call_id"),
                (["input": [["type": "function_call_output", "call_id": "x"]]], "input[0].output"),
                (
                    ["input": [["type": "function_call", "call_id": "x", "name": "a b", "arguments": "{}"]]],
                    "input[0].name"
                ),
                (["input": [["type": "function_call", "call_id": "x", "name": "f"]]], "input[0].arguments"),
            ] as [(JSONObject, String)] {
                let reply = try await client.post("/v1/responses", Self.body(fields))
                #expect(reply.status == 400 && reply.json["error"]?["param"] == .string(param), "\(reply.body)")
            }
        }
    }
}
