import Foundation
import Generation
import Serving
import Support
import TestSupport
import Testing

@Suite("Serving: refusals")
struct RefusalTests {
    @Test func fieldsAreRefusedByName() async throws {
        try await serving { client in
            let completion: [(String, JSONValue, String)] = [
                ("temprature", 1, "temprature"), ("prompt", 5, "prompt"), ("prompt", [], "prompt"),
                ("prompt", [1, "a"], "prompt"), ("prompt", [[]], "prompt"), ("prompt", [1, -2], "prompt"),
                ("prompt", [1, 4_000_000_000], "prompt"), ("prompt", [true], "prompt"),
                ("max_tokens", -1, "max_tokens"),
                ("max_tokens", 0, "max_tokens"), ("max_tokens", 1.5, "max_tokens"), ("max_tokens", "9", "max_tokens"),
                ("max_tokens", 1_000_000_000, "max_tokens"), ("temperature", -1, "temperature"),
                ("temperature", "hot", "temperature"), ("top_p", 0, "top_p"), ("top_p", 2, "top_p"),
                ("min_p", 2, "min_p"),
                ("n", 0, "n"), ("n", 17, "n"), ("best_of", 3, "best_of"), ("suffix", "x", "suffix"),
                ("logprobs", 21, "logprobs"), ("logprobs", true, "logprobs"), ("echo", "yes", "echo"),
                ("stop", 5, "stop"), ("stop", [.string("a"), 5], "stop"),
                ("stop_token_ids", [200_000], "stop_token_ids"),
                ("logit_bias", ["x": 1], "logit_bias"), ("logit_bias", ["5": 101], "logit_bias"),
                ("logit_bias", [1], "logit_bias"), ("frequency_penalty", 3, "frequency_penalty"),
                ("presence_penalty", -3, "presence_penalty"), ("repetition_penalty", 0, "repetition_penalty"),
                ("seed", 1.5, "seed"), ("stream", 1, "stream"), ("stream_options", ["x": 1], "stream_options.x"),
                ("guided_json", [:], "guided_json"),
            ]
            for (field, value, named) in completion {
                var body: JSONObject = ["prompt": "Hi", "max_tokens": 2]
                body[field] = value
                let reply = try await client.post("/v1/completions", .object(body))
                #expect(reply.status == 400, "\(field): \(value.text()): \(reply.body)")
                let error = reply.json["error"]
                #expect(error?["type"] == "invalid_request_error")
                #expect(error?["param"] == .string(named), "\(field): \(reply.body)")
                #expect(error?["message"]?.stringValue?.contains(named) == true)
            }
            let user: JSONValue = [["role": "user", "content": "Hi"]]
            let chat: [(String, JSONValue, String)] = [
                ("tools", [["type": "function"]], "tools[0].function"), ("tool_choice", "any", "tool_choice"),
                ("response_format", ["type": "grammar"], "response_format.type"), ("messages", [], "messages"),
                ("messages", "Hi", "messages"), ("messages", [5], "messages[0]"),
                ("messages", [["role": "function", "content": "x"]], "messages[0].role"),
                ("messages", [["role": "user"]], "messages[0].content"),
                (
                    "messages", [["role": "user", "content": [["type": "image_url", "image_url": [:]]]]],
                    "messages[0].content[0]"
                ),
                ("messages", [["role": "user", "content": "x", "colour": 1]], "messages[0].colour"),
                ("top_logprobs", 3, "top_logprobs"), ("reasoning_effort", "high", "reasoning_effort"),
                ("max_completion_tokens", 0, "max_completion_tokens"),
                ("previous_response_id", "x", "previous_response_id"),
            ]
            for (field, value, named) in chat {
                var body: JSONObject = ["messages": user, "max_tokens": 2]
                body[field] = value
                let reply = try await client.post("/v1/chat/completions", .object(body))
                #expect(reply.status == 400, "\(field): \(reply.body)")
                #expect(reply.json["error"]?["param"] == .string(named), "\(field): \(reply.body)")
            }
            // What asks for nothing is let through.
            let harmless: JSONValue = [
                "messages": user, "max_tokens": 2, "tools": [], "tool_choice": "none",
                "response_format": ["type": "text"],
                "user": "x", "stop": nil, "seed": nil, "n": 1, "stream": false,
            ]
            #expect(try await client.post("/v1/chat/completions", harmless).status == 200)
        }
    }

    @Test func bodiesThatAreNoRequest() async throws {
        try await serving(options: { $0.maximumBody = 20_000 }) { client in
            let bodies = [
                "", "{", "[1]", "null", "\"x\"", "{\"prompt\":\"a\",\"prompt\":\"b\"}", "{\"prompt\":NaN}",
                "{\"prompt\":\"\\ud800\"}", String(repeating: "[", count: 10_000),
                "{\"prompt\":" + String(repeating: "[", count: 5000) + "}", "\u{FEFF}x", "{\"prompt\": 1e999}",
                "{\"max_tokens\": 99999999999999999999, \"prompt\": \"x\"}",
            ]
            for body in bodies {
                for path in ["/v1/completions", "/v1/chat/completions", "/tokenize", "/detokenize"] {
                    let reply = try await client.post(path, text: body)
                    #expect(reply.status == 400, "\(path) \(body.prefix(40)): \(reply.body)")
                    #expect(reply.json["error"]?["message"]?.stringValue?.isEmpty == false)
                }
            }
            let large = try await client.post(
                "/v1/completions", ["prompt": .string(String(repeating: "x", count: 30_000))])
            #expect(large.status == 413)
            #expect(large.json["error"]?["code"] == "body_too_large")
            // Of a length that nobody has said.
            let chunked = try await client.aside {
                let connection = try Connection(port: client.port)
                let chunk = "1000\r\n" + String(repeating: "x", count: 4096) + "\r\n"
                connection.send(
                    Data(
                        (client.head("POST", "/v1/completions", headers: ["Transfer-Encoding": "chunked"], length: nil)
                            + String(repeating: chunk, count: 8) + "0\r\n\r\n").utf8))
                return try Reply(connection.receiveAll())
            }
            #expect(chunked.status == 413)
            let noise = try await client.aside {
                let connection = try Connection(port: client.port)
                connection.send(Data((0..<512).map { UInt8(truncatingIfNeeded: $0 &* 37) }) + Data("\r\n\r\n".utf8))
                return try connection.receiveAll()
            }
            #expect(String(decoding: noise, as: UTF8.self).hasPrefix("HTTP/1.1 400"))
            #expect(try await client.get("/health").status == 200)
        }
    }

    @Test func pathsAndModels() async throws {
        try await serving { client in
            for path in ["/page", "/v1/", "/v1/nothing", "/../etc/passwd", "/v1/models/..%2f..", "/v1/slots"] {
                let reply = try await client.get(path)
                #expect(reply.status == 404, "\(path)")
                #expect(reply.json["error"]?["message"]?.stringValue != nil, "\(path)")
            }
            let reply = try await client.post("/v1/completions", ["model": "gpt-4", "prompt": "x"])
            #expect(reply.status == 404)
            #expect(reply.json["error"]?["code"] == "model_not_found")
            #expect(try await client.get("/v1/models/tiny").json["id"] == "tiny")
            #expect(try await client.get("/v1/models").json["data"]?.arrayValue?.count == 1)
        }
    }

    @Test func aPromptMayBeTooLong() async throws {
        try await serving(options: { $0.maximumPrompt = 50 }) { client in
            let reply = try await client.post("/v1/completions", ["prompt": .string(String(repeating: "x", count: 51))])
            #expect(reply.status == 400)
            #expect(reply.json["error"]?["code"] == "context_length_exceeded")
        }
    }
}
