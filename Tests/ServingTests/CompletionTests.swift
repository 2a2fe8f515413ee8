import Foundation
import Generation
import Models
import Serving
import Support
import TestSupport
import Testing

@Suite("Serving: completions")
struct CompletionTests {
    @Test func echoWithLikelihoodsAsLmEvalReadsThem() async throws {
        try await serving { client in
            let prompts: [[Int]] = [[1, 15, 9, 98, 99, 40], [1, 22]]
            let reply = try await client.post(
                "/v1/completions",
                [
                    "model": "tiny", "prompt": .array(prompts.map { .array($0.map { .integer($0) }) }),
                    "temperature": 0, "max_tokens": 1, "logprobs": 1, "seed": 1234, "echo": true,
                ])
            #expect(reply.status == 200)
            let choices = try #require(reply.json["choices"]?.arrayValue)
            #expect(choices.compactMap { $0["index"]?.integerValue } == [0, 1])
            let model = try DecoderModel.load(
                testsFolder.appendingPathComponent("ModelsTests/Fixtures/moult-gsa-window").path, as: .float32)
            for (choice, prompt) in zip(choices, prompts) {
                let lists = try #require(choice["logprobs"])
                let values = try #require(lists["token_logprobs"]?.arrayValue)
                let top = try #require(lists["top_logprobs"]?.arrayValue)
                // One for the generated token, which is dropped.
                #expect(values.count == prompt.count + 1)
                #expect(top.count == values.count)
                #expect(values[0] == .null && top[0] == .null)
                let scores = try model.scores(of: Array(1..<prompt.count), in: prompt.map { Int32($0) })
                for (place, score) in scores.enumerated() {
                    let value = try #require(values[place + 1].doubleValue)
                    #expect(abs(value + Double(score.loss)) < 1e-4)
                    let best = try #require(top[place + 1].objectValue?.pairs.compactMap(\.value.doubleValue).max())
                    #expect((value == best) == score.isMostLikely)
                }
                #expect(choice["finish_reason"] == "length")
            }
            let lists = try #require(choices[0]["logprobs"])
            #expect(
                lists["tokens"]?.arrayValue?.prefix(6).compactMap(\.stringValue)
                    == ["\n", ".", "(", "bytes:\\xc3", "bytes:\\xa9", "G"])
            #expect(lists["text_offset"]?.arrayValue?.prefix(6).compactMap(\.integerValue) == [0, 1, 2, 3, 4, 4])
            #expect(choices[0]["text"]?.stringValue?.hasPrefix("\n.(éG") == true)
            #expect(
                reply.json["usage"]
                    == [
                        "prompt_tokens": 8, "completion_tokens": 2, "total_tokens": 10,
                        "prompt_tokens_details": ["cached_tokens": 0],
                    ])
        }
    }

    @Test func aTextThatEndsAtOnceStillHasTheEntryThatIsDropped() async throws {
        try await serving { client in
            let plain = try await client.post(
                "/v1/completions", ["prompt": "Hello", "max_tokens": 1, "logprobs": 0, "temperature": 0])
            let token = try #require(plain.json["choices"]?.arrayValue?[0]["logprobs"]?["tokens"]?.arrayValue?[0])
            let ids = try await client.post("/tokenize", ["content": token])
            let reply = try await client.post(
                "/v1/completions",
                [
                    "prompt": "Hello", "max_tokens": 1, "logprobs": 1, "temperature": 0, "echo": true,
                    "stop_token_ids": try #require(ids.json["tokens"]),
                ])
            let choice = try #require(reply.json["choices"]?.arrayValue?[0])
            #expect(choice["text"] == "Hello")
            #expect(choice["finish_reason"] == "stop")
            #expect(choice["logprobs"]?["token_logprobs"]?.arrayValue?.count == 6)
            #expect(choice["logprobs"]?["tokens"]?.arrayValue?.last == token)
        }
    }

    @Test func promptsOfAllForms() async throws {
        try await serving { client in
            let forms: [(JSONValue, Int, Int)] = [
                ("Hello", 1, 5), (["Hello", "you"], 2, 8), ([41, 70, 77], 1, 3), ([[41, 70], [77]], 2, 3),
                (["Hi", [41]], 2, 3), ("", 1, 1),
            ]
            for (prompt, choices, tokens) in forms {
                let reply = try await client.post(
                    "/v1/completions", ["prompt": prompt, "max_tokens": 3, "temperature": 0])
                #expect(reply.status == 200, "\(prompt.text()): \(reply.body)")
                #expect(reply.json["choices"]?.arrayValue?.count == choices)
                #expect(reply.json["usage"]?["prompt_tokens"] == .integer(tokens))
                #expect(reply.json["object"] == "text_completion")
                #expect(reply.json["choices"]?.arrayValue?[0]["logprobs"] == .null)
            }
        }
    }

    @Test func streamsGiveWhatWholeAnswersDo() async throws {
        try await serving { client in
            var body: JSONObject = [
                "prompt": "Hello, world", "max_tokens": 40, "n": 2, "temperature": 1, "seed": 5, "logprobs": 2,
            ]
            let whole = try await client.post("/v1/completions", .object(body))
            body["stream"] = true
            body["stream_options"] = ["include_usage": true]
            let reply = try await client.post("/v1/completions", .object(body))
            #expect(reply.headers["content-type"] == "text/event-stream")
            let parts = try reply.parts()
            for index in 0..<2 {
                let expected = try #require(whole.json["choices"]?.arrayValue?[index])
                let own = parts.compactMap { $0["choices"]?.arrayValue?.first }.filter {
                    $0["index"] == .integer(index)
                }
                #expect(own.compactMap { $0["text"]?.stringValue }.joined() == expected["text"]?.stringValue)
                let tokens = own.flatMap { $0["logprobs"]?["token_logprobs"]?.arrayValue ?? [] }
                #expect(tokens == expected["logprobs"]?["token_logprobs"]?.arrayValue)
                #expect(own.last?["finish_reason"] == expected["finish_reason"])
            }
            #expect(parts.dropLast().allSatisfy { $0["choices"]?.arrayValue?.first?["text"]?.stringValue != nil })
            #expect(parts.last?["choices"] == [])
            #expect(parts.last?["usage"]?["completion_tokens"] == whole.json["usage"]?["completion_tokens"])
            #expect(Set(parts.compactMap { $0["id"]?.stringValue }).count == 1)
        }
    }

    @Test func samplingFields() async throws {
        try await serving { client in
            func text(_ fields: JSONObject) async throws -> String {
                var body: JSONObject = ["prompt": "Hello", "max_tokens": 30, "temperature": 0]
                for (key, value) in fields.pairs { body[key] = value }
                let reply = try await client.post("/v1/completions", .object(body))
                return try #require(reply.json["choices"]?.arrayValue?[0]["text"]?.stringValue, "\(reply.body)")
            }
            let plain = try await text([:])
            #expect(try await text(["temperature": 1, "seed": 3]) == text(["temperature": 1, "seed": 3]))
            #expect(try await text(["temperature": 1, "seed": 3]) != text(["temperature": 1, "seed": 4]))
            #expect(try await text(["temperature": 5, "top_k": 1, "seed": 3]) == plain)
            #expect(try await text(["temperature": 5, "min_p": 1, "seed": 3]) == plain)
            #expect(try await text(["logit_bias": ["41": 100]]) == String(repeating: "H", count: 30))
            let varied: JSONObject = ["temperature": 5, "seed": 3]
            let sampled = try await text(varied)
            var penalised = varied
            penalised["frequency_penalty"] = 2
            #expect(try await text(penalised) != sampled)
            let stop = String(sampled.dropFirst(3).prefix(2))
            var stopping = varied
            stopping["stop"] = [.string(stop), ""]
            #expect(try await text(stopping) == sampled.firstRange(of: stop).map { String(sampled[..<$0.lowerBound]) })
        }
    }

    @Test func statesAreReused() async throws {
        try await serving { client in
            let body: JSONValue = ["prompt": "The quick brown fox", "max_tokens": 8, "temperature": 0]
            let first = try await client.post("/v1/completions", body)
            let second = try await client.post("/v1/completions", body)
            #expect(first.json["usage"]?["prompt_tokens_details"]?["cached_tokens"] == 0)
            #expect(second.json["usage"]?["prompt_tokens_details"]?["cached_tokens"] == 19)
            #expect(first.json["choices"] == second.json["choices"])
            #expect(first.json["system_fingerprint"] == second.json["system_fingerprint"])
        }
    }
}
