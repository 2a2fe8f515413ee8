import Foundation
import Generation
import Serving
import Support
import TestSupport
import Testing

@Suite("Serving: chat")
struct ChatTests {
    @Test func wholeAndStreamed() async throws {
        try await serving { client in
            var body: JSONObject = [
                "model": "tiny", "messages": [["role": "user", "content": "Hello"]], "max_tokens": 25, "temperature": 0,
                "logprobs": true, "top_logprobs": 3,
            ]
            let whole = try await client.post("/v1/chat/completions", .object(body))
            #expect(whole.json["object"] == "chat.completion")
            let choice = try #require(whole.json["choices"]?.arrayValue?[0])
            let text = try #require(choice["message"]?["content"]?.stringValue)
            #expect(choice["message"]?["role"] == "assistant")
            let content = try #require(choice["logprobs"]?["content"]?.arrayValue)
            #expect(content.count == 25)
            #expect(content.allSatisfy { $0["top_logprobs"]?.arrayValue?.count == 3 })
            #expect(content.allSatisfy { $0["top_logprobs"]?.arrayValue?[0]["logprob"] == $0["logprob"] })
            let bytes = content.flatMap { $0["bytes"]?.arrayValue ?? [] }.compactMap(\.integerValue).map { UInt8($0) }
            #expect(String(decoding: bytes, as: UTF8.self).hasPrefix(text.prefix(5)))
            body["stream"] = true
            let parts = try await client.post("/v1/chat/completions", .object(body)).parts()
            let deltas = parts.compactMap { $0["choices"]?.arrayValue?[0]["delta"] }
            #expect(deltas.first == ["role": "assistant", "content": ""])
            #expect(deltas.compactMap { $0["content"]?.stringValue }.joined() == text)
            #expect(deltas.last == [:])
            #expect(parts.last?["choices"]?.arrayValue?[0]["finish_reason"] == "length")
            #expect(parts.allSatisfy { $0["usage"] == nil && $0["object"] == "chat.completion.chunk" })
        }
    }

    @Test func theNextTurnReadsWhatIsNew() async throws {
        try await serving { client in
            var messages: [JSONValue] = [
                ["role": "developer", "content": "Be brief."],
                ["role": "user", "content": [["type": "text", "text": "Hel"], ["type": "text", "text": "lo"]]],
            ]
            func ask() async throws -> (answer: String, prompt: Int, cached: Int) {
                // An answer that the model ends itself: its end is all that may be picked.
                let reply = try await client.post(
                    "/v1/chat/completions",
                    ["messages": .array(messages), "max_tokens": 6, "temperature": 0])
                let usage = try #require(reply.json["usage"], "\(reply.body)")
                return (
                    try #require(reply.json["choices"]?.arrayValue?[0]["message"]?["content"]?.stringValue),
                    usage["prompt_tokens"]?.integerValue ?? 0,
                    usage["prompt_tokens_details"]?["cached_tokens"]?.integerValue ?? 0
                )
            }
            let first = try await ask()
            #expect(first.cached == 0)
            messages += [
                ["role": "assistant", "content": .string(first.answer)], ["role": "user", "content": "And?"],
            ]
            let second = try await ask()
            #expect(second.cached >= first.prompt)
            #expect(second.cached < second.prompt)
        }
    }

    @Test func aModelWithoutATemplateIsAddressedPlainly() async throws {
        try await serving(template: nil) { client in
            let reply = try await client.post(
                "/v1/chat/completions", ["messages": [["role": "user", "content": "Hi"]], "max_tokens": 4])
            #expect(reply.status == 200)
            #expect(reply.json["usage"]?["prompt_tokens"] == .integer("User: Hi\nAssistant:".count))
        }
    }
}
