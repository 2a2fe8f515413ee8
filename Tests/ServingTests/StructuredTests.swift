import Foundation
import Generation
import Serving
import Support
import TestSupport
import Testing

@Suite("Serving: answers of a form")
struct StructuredTests {
    private static let schema: JSONValue = [
        "type": "object",
        "properties": [
            "size": ["type": "integer", "minimum": 1, "maximum": 9],
            "colour": ["enum": ["red", "green"]], "tags": ["type": "array", "items": ["type": "null"], "maxItems": 2],
        ], "required": ["size", "colour"], "additionalProperties": false,
    ]

    private static func format(_ schema: JSONValue) -> JSONValue {
        ["type": "json_schema", "json_schema": ["name": "thing", "strict": true, "schema": schema]]
    }

    private static func check(_ text: String) throws {
        let value = try #require(try? JSONValue(parsing: Array(text.utf8), .strict), "\(text)")
        #expect(value["size"]?.integerValue.map { (1...9).contains($0) } == true, "\(text)")
        #expect(["red", "green"].contains(value["colour"]?.stringValue), "\(text)")
        #expect(value.objectValue?.keys.allSatisfy { ["size", "colour", "tags"].contains($0) } == true)
    }

    @Test func schemas() async throws {
        try await serving { client in
            var body: JSONObject = [
                "messages": [["role": "user", "content": "Hello"]], "max_tokens": 400,
                "response_format": Self.format(Self.schema), "n": 3, "temperature": 1, "seed": 4, "logprobs": true,
                "top_logprobs": 2,
            ]
            let whole = try await client.post("/v1/chat/completions", .object(body))
            let choices = try #require(whole.json["choices"]?.arrayValue, "\(whole.body)")
            var texts: [String] = []
            for choice in choices {
                let text = try #require(choice["message"]?["content"]?.stringValue)
                texts.append(text)
                try Self.check(text)
                #expect(choice["finish_reason"] == "stop")
                // Those of the model, which would have liked others better.
                let entries = try #require(choice["logprobs"]?["content"]?.arrayValue)
                #expect(entries.contains { $0["top_logprobs"]?.arrayValue?[0]["token"] != $0["token"] })
                #expect(entries.compactMap { $0["token"]?.stringValue }.joined() == text)
            }
            #expect(Set(texts).count > 1)
            body["stream"] = true
            let parts = try await client.post("/v1/chat/completions", .object(body)).parts()
            for index in 0..<3 {
                let own = parts.compactMap { $0["choices"]?.arrayValue?[0] }.filter { $0["index"] == .integer(index) }
                #expect(own.compactMap { $0["delta"]?["content"]?.stringValue }.joined() == texts[index])
                #expect(own.last?["finish_reason"] == "stop")
            }
            body["stream"] = false
            (body["temperature"], body["n"], body["logprobs"], body["top_logprobs"]) = (0, 1, false, nil)
            let greedy = try await client.post("/v1/chat/completions", .object(body))
            try Self.check(try #require(greedy.json["choices"]?.arrayValue?[0]["message"]?["content"]?.stringValue))
            body["max_tokens"] = 5
            let cut = try await client.post("/v1/chat/completions", .object(body))
            #expect(cut.json["choices"]?.arrayValue?[0]["finish_reason"] == "length")
            #expect(cut.json["usage"]?["completion_tokens"] == 5)
        }
    }

    @Test func anyObject() async throws {
        try await serving { client in
            for seed in 0..<12 {
                let reply = try await client.post(
                    "/v1/chat/completions",
                    [
                        "messages": [["role": "user", "content": "Hello"]], "max_tokens": 300, "temperature": 1,
                        "seed": .integer(seed), "response_format": ["type": "json_object"], "ignore_eos": true,
                    ])
                let choice = try #require(reply.json["choices"]?.arrayValue?[0], "\(reply.body)")
                let text = try #require(choice["message"]?["content"]?.stringValue)
                #expect(text.hasPrefix("{"))
                if choice["finish_reason"] == "stop" {
                    #expect((try? JSONValue(parsing: Array(text.utf8), .foreign))?.objectValue != nil, "\(text)")
                }
            }
        }
    }

    private static let tools: JSONValue = [
        [
            "type": "function",
            "function": [
                "name": "weather", "description": "Tells the weather.", "strict": true,
                "parameters": [
                    "type": "object", "properties": ["city": ["enum": ["Oslo", "Rome"]]], "required": ["city"],
                    "additionalProperties": false,
                ],
            ],
        ],
        ["type": "function", "function": ["name": "now"]],
    ]

    @Test func callsThatAreRequired() async throws {
        try await serving { client in
            var body: JSONObject = [
                "messages": [["role": "user", "content": "Hello"]], "max_tokens": 400, "temperature": 0,
                "tools": Self.tools, "tool_choice": "required", "parallel_tool_calls": false,
            ]
            let whole = try await client.post("/v1/chat/completions", .object(body))
            let choice = try #require(whole.json["choices"]?.arrayValue?[0], "\(whole.body)")
            #expect(choice["finish_reason"] == "tool_calls")
            #expect(choice["message"]?["content"] == .null)
            let calls = try #require(choice["message"]?["tool_calls"]?.arrayValue)
            #expect(calls.count == 1)
            #expect(calls[0]["type"] == "function")
            #expect(calls[0]["id"]?.stringValue?.hasPrefix("call_") == true)
            let function = try #require(calls[0]["function"])
            #expect(["weather", "now"].contains(function["name"]?.stringValue))

            body["tool_choice"] = ["type": "function", "function": ["name": "weather"]]
            let named = try await client.post("/v1/chat/completions", .object(body))
            let call = try #require(
                named.json["choices"]?.arrayValue?[0]["message"]?["tool_calls"]?.arrayValue?[0]["function"])
            #expect(call["name"] == "weather")
            let arguments = try #require(call["arguments"]?.stringValue)
            let city = try JSONValue(parsing: Array(arguments.utf8), .strict)["city"]?.stringValue
            #expect(["Oslo", "Rome"].contains(city))

            body["stream"] = true
            let parts = try await client.post("/v1/chat/completions", .object(body)).parts()
            let choices = parts.compactMap { $0["choices"]?.arrayValue?[0] }
            let deltas = choices.compactMap { $0["delta"]?["tool_calls"]?.arrayValue?[0] }
            #expect(deltas.compactMap { $0["function"]?["arguments"]?.stringValue }.joined() == arguments)
            #expect(deltas.compactMap { $0["function"]?["name"]?.stringValue }.joined() == "weather")
            #expect(deltas.first?["index"] == 0)
            #expect(deltas.compactMap { $0["id"]?.stringValue }.count == 1)
            #expect(choices.compactMap { $0["delta"]?["content"]?.stringValue }.joined() == "")
            #expect(choices.last?["finish_reason"] == "tool_calls")

            body["stream"] = false
            (body["tool_choice"], body["parallel_tool_calls"], body["temperature"]) = ("required", true, 1)
            for seed in 0..<8 {
                body["seed"] = .integer(seed)
                let several = try await client.post("/v1/chat/completions", .object(body))
                let choice = try #require(several.json["choices"]?.arrayValue?[0], "\(several.body)")
                guard choice["finish_reason"] == "tool_calls" else { continue }
                let count = choice["message"]?["tool_calls"]?.arrayValue?.count ?? 0
                #expect((1...ToolFormat.mostCalls).contains(count))
            }
        }
    }

    @Test func toolsStandInTheTemplate() async throws {
        let template = """
            {% if tools %}{% for t in tools %}[{{ t.function.name }}]{% endfor %}{% endif %}{% for m in messages %}\
            {{ m.role }}:{{ m.content }}{% for c in m.tool_calls or [] %}<tool_call>{{ c.function.name }} \
            {{ c.function.arguments.city }}{% endfor %}{{ m.tool_call_id or '' }};{% endfor %}
            """
        try await serving(template: template) { client in
            let messages: JSONValue = [
                ["role": "user", "content": "Hi"],
                [
                    "role": "assistant", "content": nil,
                    "tool_calls": [
                        [
                            "id": "c1", "type": "function",
                            "function": ["name": "weather", "arguments": "{\"city\": \"Oslo\"}"],
                        ]
                    ],
                ],
                ["role": "tool", "tool_call_id": "c1", "content": "rain"],
            ]
            func tokens(_ fields: JSONObject) async throws -> Int {
                var body: JSONObject = ["messages": messages, "max_tokens": 1]
                for (key, value) in fields.pairs { body[key] = value }
                let reply = try await client.post("/v1/chat/completions", .object(body))
                return try #require(reply.json["usage"]?["prompt_tokens"]?.integerValue, "\(reply.body)")
            }
            // The tokenizer has a token for each character.
            let text = "user:Hi;assistant:<tool_call>weather Oslo;tool:rainc1;"
            let counts = [
                try await tokens(["tools": Self.tools]),
                try await tokens(["tools": Self.tools, "tool_choice": "none"]), try await tokens([:]),
            ]
            #expect(counts == ["[weather][now]".count + text.count, text.count, text.count])
        }
    }

    @Test func toolsAreDescribedWhereATemplateDoesNot() async throws {
        try await serving { client in
            func tokens(_ messages: JSONValue, _ tools: JSONValue) async throws -> Int {
                let reply = try await client.post(
                    "/v1/chat/completions", ["messages": messages, "tools": tools, "max_tokens": 1])
                return try #require(reply.json["usage"]?["prompt_tokens"]?.integerValue, "\(reply.body)")
            }
            let asked: JSONValue = ["role": "user", "content": "Hi"]
            let (plain, told) = (try await tokens([asked], []), try await tokens([asked], Self.tools))
            #expect(told > plain + 200)
            let call: JSONValue = [
                "role": "assistant", "content": nil,
                "tool_calls": [["id": "c1", "type": "function", "function": ["name": "now", "arguments": "{}"]]],
            ]
            let result: JSONValue = ["role": "tool", "tool_call_id": "c1", "content": "noon"]
            let answered = try await tokens([asked, call, result], Self.tools)
            #expect(answered > told + 80)
        }
    }

    @Test func refusals() async throws {
        try await serving { client in
            let tool: JSONValue = ["type": "function", "function": ["name": "f"]]
            let unsupported = Self.format(["properties": ["a": ["not": [:]]], "type": "object"])
            let cases: [(fields: JSONObject, named: String)] = [
                (["response_format": "json"], "response_format"),
                (["response_format": ["type": "xml"]], "response_format.type"),
                (["response_format": ["type": "json_object", "x": 1]], "response_format.x"),
                (["response_format": ["type": "json_schema"]], "response_format.json_schema"),
                (
                    ["response_format": ["type": "json_schema", "json_schema": ["name": "a b"]]],
                    "response_format.json_schema.name"
                ),
                (
                    ["response_format": ["type": "json_schema", "json_schema": ["name": "a"]]],
                    "response_format.json_schema.schema"
                ),
                (["response_format": unsupported], "response_format"),
                (["response_format": Self.format(false)], "response_format"),
                (["response_format": ["type": "json_object"], "stop": ["x"]], "stop"),
                (["response_format": ["type": "json_object"], "tools": [tool]], "response_format"),
                (["tool_choice": "required"], "tool_choice"),
                (["tools": [tool], "tool_choice": "always"], "tool_choice"),
                (
                    ["tools": [tool], "tool_choice": ["type": "function", "function": ["name": "g"]]], "tool_choice"
                ),
                (["tools": [tool, tool]], "tools[1].function.name"), (["tools": [5]], "tools[0]"),
                (["tools": [["type": "custom"]]], "tools[0].type"),
                (["tools": [["type": "function", "function": ["name": ""]]]], "tools[0].function.name"),
                (
                    [
                        "tools": [
                            ["type": "function", "function": ["name": "f", "parameters": ["minProperties": 2]]]
                        ], "tool_choice": "required",
                    ], "tools"
                ),
                (["functions": [tool]], "functions"),
                (["messages": [["role": "user", "content": "x", "tool_calls": [[:]]]]], "messages[0].tool_calls"),
            ]
            for (fields, named) in cases {
                var body: JSONObject = ["messages": [["role": "user", "content": "Hi"]], "max_tokens": 2]
                for (key, value) in fields.pairs { body[key] = value }
                let reply = try await client.post("/v1/chat/completions", .object(body))
                #expect(reply.status == 400, "\(JSONValue.object(fields).text()): \(reply.body)")
                #expect(reply.json["error"]?["param"] == .string(named), "\(reply.body)")
            }
            var body: JSONObject = ["messages": [["role": "user", "content": "Hi"]], "max_tokens": 2]
            body["response_format"] = unsupported
            let reply = try await client.post("/v1/chat/completions", .object(body))
            #expect(
                reply.json["error"]?["message"]
                    == "response_format.json_schema.schema#/properties/a/not: not is not supported")
        }
    }
}
