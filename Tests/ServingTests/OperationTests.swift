import Foundation
import Generation
import Serving
import Support
import TestSupport
import Testing

@Suite("Serving: operation")
struct OperationTests {
    private static let endless: JSONValue = [
        "prompt": "Hello", "max_tokens": 100_000, "temperature": 1, "stream": true, "ignore_eos": true,
    ]

    @Test func keys() async throws {
        try await serving(options: { $0.keys = ["first-key", "second-key"] }) { client in
            #expect(try await client.get("/health").status == 200)
            for header in [
                "Bearer first-ke", "Bearer first-keyy", "Bearer ", "Bearer", "first-key", "Basic first-key", "",
            ] {
                let reply = try await client.get("/v1/models", headers: ["Authorization": header])
                #expect(reply.status == 401, "\(header)")
                #expect(reply.json["error"]?["type"] == "authentication_error")
            }
            #expect(try await client.get("/metrics").status == 401)
            // States are of one key alone.
            let body: JSONValue = ["prompt": "The quick brown fox", "max_tokens": 2, "temperature": 0]
            var cached: [Int?] = []
            for key in ["first-key", "first-key", "second-key"] {
                let reply = try await Client(port: client.port, key: key).post("/v1/completions", body)
                cached.append(reply.json["usage"]?["prompt_tokens_details"]?["cached_tokens"]?.integerValue)
            }
            #expect(cached == [0, 19, 0])
        }
    }

    @Test func origins() async throws {
        try await serving(options: { $0.origins = ["https://example.org"] }) { client in
            func allowed(_ origin: String, _ method: String = "GET", _ path: String = "/v1/models") async throws
                -> String?
            {
                let reply = try await client.ask(method, path, headers: ["Origin": origin], body: nil)
                return reply.headers["access-control-allow-origin"]
            }
            let plain = try await allowed("https://example.org")
            #expect(plain == "https://example.org")
            #expect(try await allowed("https://example.org", "OPTIONS") == "https://example.org")
            #expect(try await allowed("https://example.org", "GET", "/nothing") == "https://example.org")
            #expect(try await allowed("https://example.com") == nil)
        }
    }

    @Test func aClientThatGoesAwayEndsItsRequest() async throws {
        try await serving(options: { $0.scheduler.batch = 1 }) { client in
            let body = Self.endless.text()
            for waitsForText in [true, false] {
                try await client.aside {
                    let connection = try Connection(port: client.port)
                    let head = client.head("POST", "/v1/completions", headers: [:], length: body.utf8.count)
                    connection.send(Data((head + body).utf8))
                    if waitsForText {
                        while try !String(decoding: connection.receive(), as: UTF8.self).contains("data:") {}
                    }
                }
                // The only place is free again.
                let reply = try await client.post("/v1/completions", ["prompt": "Hi", "max_tokens": 2])
                #expect(reply.json["usage"]?["completion_tokens"] == 2)
            }
        }
    }

    @Test func aSlowReaderHoldsNobodyUp() async throws {
        try await serving(options: { $0.scheduler.batch = 1 }) { client in
            let body = Self.endless.text()
            let connection = try await client.aside {
                let connection = try Connection(port: client.port)
                let head = client.head("POST", "/v1/completions", headers: [:], length: body.utf8.count)
                connection.send(Data((head + body).utf8))
                _ = try connection.receive()
                return connection
            }
            let reply = try await client.post(
                "/v1/completions", ["prompt": "Hi", "max_tokens": 20, "ignore_eos": true])
            #expect(reply.json["usage"]?["completion_tokens"] == 20)
            withExtendedLifetime(connection) {}
        }
    }

    @Test func aReaderThatNeverReadsIsLeft() async throws {
        try await serving(options: { ($0.requestSeconds, $0.graceSeconds) = (20, 0.5) }) { client in
            var fields = try #require(Self.endless.objectValue)
            (fields["logprobs"], fields["n"]) = (20, 16)
            let body = JSONValue.object(fields).text()
            let bytes = try await client.aside {
                let connection = try Connection(port: client.port, receiveBuffer: 4096)
                let head = client.head("POST", "/v1/completions", headers: [:], length: body.utf8.count)
                connection.send(Data((head + body).utf8))
                sleep(22)
                return try connection.receiveAll()
            }
            let text = String(decoding: bytes, as: UTF8.self)
            #expect(text.hasPrefix("HTTP/1.1 200"))
            // What fits the system's buffers is sent, read or not: all that a busy machine comes to in the time.
            let isHeldUp = text.utf8.count > 4 << 20
            #expect(!isHeldUp || !text.contains("[DONE]"), "\(text.utf8.count) bytes were not too many to be sent")
        }
    }

    @Test func manyClientsAtOnceGetWhatTheyWouldAlone() async throws {
        try await serving(options: {
            $0.scheduler.reuse = .none
            $0.scheduler.batch = 4
        }) { client in
            let bodies = (0..<16).map { index -> JSONValue in
                [
                    "prompt": .string(String(repeating: "Text \(index). ", count: 1 + index * 5)), "max_tokens": 12,
                    "temperature": .number(index % 2 == 0 ? 0 : 1), "seed": .integer(index),
                ]
            }
            var alone: [JSONValue?] = []
            for body in bodies { alone.append(try await client.post("/v1/completions", body).json["choices"]) }
            let together = try await withThrowingTaskGroup(of: (Int, JSONValue?).self) { group in
                for (index, body) in bodies.enumerated() {
                    group.addTask { (index, try await client.post("/v1/completions", body).json["choices"]) }
                }
                var all = [JSONValue?](repeating: nil, count: bodies.count)
                for try await (index, choices) in group { all[index] = choices }
                return all
            }
            #expect(alone == together)
            #expect(alone.allSatisfy { $0 != nil })
        }
    }

    @Test func aQueueThatIsFull() async throws {
        try await serving(options: { ($0.scheduler.batch, $0.scheduler.queue) = (1, 1) }) { client in
            let statuses = try await withThrowingTaskGroup(of: (Int, String?).self) { group in
                for _ in 0..<6 {
                    group.addTask {
                        let reply = try await client.post(
                            "/v1/completions", ["prompt": "Hi", "max_tokens": 400, "ignore_eos": true])
                        return (reply.status, reply.headers["retry-after"])
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(statuses.contains { $0.0 == 200 })
            #expect(statuses.contains { $0.0 == 429 && $0.1 == "1" })
        }
    }

    @Test func timeIsLimited() async throws {
        try await serving(options: { $0.requestSeconds = 0.2 }) { client in
            let reply = try await client.post(
                "/v1/completions", ["prompt": "Hi", "max_tokens": 100_000, "ignore_eos": true])
            #expect(reply.status == 200)
            #expect(reply.json["choices"]?.arrayValue?[0]["finish_reason"] == "length")
            #expect(reply.json["usage"]?["completion_tokens"]?.integerValue ?? 100_000 < 100_000)
        }
    }

    @Test func metricsCount() async throws {
        try await serving { client in
            for _ in 0..<2 {
                _ = try await client.post("/v1/completions", ["prompt": "Hello", "max_tokens": 7, "ignore_eos": true])
            }
            let text = try await client.get("/metrics").body
            for line in [
                "moult:prompt_tokens_total{model_name=\"tiny\"} 5",
                "moult:generation_tokens_total{model_name=\"tiny\"} 14",
                "moult:prefix_cache_hits{model_name=\"tiny\"} 1",
                "moult:prefix_tokens_reused_total{model_name=\"tiny\"} 5",
                "moult:request_success_total{finished_reason=\"length\",model_name=\"tiny\"} 2",
                "moult:time_to_first_token_seconds_count{model_name=\"tiny\"} 2",
                "moult:inter_token_latency_seconds_bucket{le=\"+Inf\",model_name=\"tiny\"} 12",
            ] {
                #expect(text.contains(line + "\n"), "\(line)\n\(text)")
            }
            // Every line is a comment or a sample.
            for line in text.split(separator: "\n") where !line.hasPrefix("# ") {
                #expect(line.wholeMatch(of: #/moult:[a-z0-9_]+\{[^}]*\} [-+0-9.e]+/#) != nil, "\(line)")
            }
        }
    }

    @Test func tokens() async throws {
        try await serving { client in
            let reply = try await client.post("/tokenize", ["prompt": "Hi<|im_end|>", "add_special_tokens": false])
            #expect(reply.json["tokens"] == [41, 74, 97])
            #expect(reply.json["count"] == 3)
            let pieces = try await client.post("/tokenize", ["content": "Hi", "with_pieces": true])
            #expect(pieces.json["tokens"] == [["id": 41, "piece": "H"], ["id": 74, "piece": "i"]])
            let messages = try await client.post("/tokenize", ["messages": [["role": "user", "content": "Hi"]]])
            #expect(messages.json["count"]?.integerValue ?? 0 > 3)
            let text = try await client.post("/detokenize", ["tokens": [41, 74, 97, 120]])
            #expect(text.json == ["prompt": "Hi<|im_end|>", "content": "Hi<|im_end|>"])
            let information = try await client.get("/tokenizer_info")
            #expect(information.json["eos_token"] == "<|im_end|>")
            #expect(information.json["chat_template"] == .string(chatTemplate))
            #expect(information.json["tokenizer_class"]?.stringValue != nil)
        }
    }

    @Test func theLogSaysNothingOfTexts() async throws {
        let log = LoggedLines()
        try await serving(log: log) { client in
            for body: JSONValue in [
                ["prompt": "a secret text", "max_tokens": 2], ["prompt": "a secret text", "n": 99],
                ["prompt": "a secret text", "stream": true, "max_tokens": 2, "user": "a secret text"],
                ["secret": 1, "prompt": "x"],
            ] {
                _ = try await client.ask(
                    "POST", "/v1/completions?secret", headers: ["x-request-id": "id-7"], body: Data(body.text().utf8))
            }
            _ = try await client.get("/secret")
            try await client.aside {
                let body = "{\"prompt\": \"a secret text\", \"max_tokens\": 100000, \"ignore_eos\": true}"
                let connection = try Connection(port: client.port)
                connection.send(
                    Data((client.head("POST", "/v1/completions", headers: [:], length: body.utf8.count) + body).utf8))
                usleep(50_000)
            }
            let named = try await client.get("/health", headers: ["x-request-id": "id-8"])
            #expect(named.headers["x-request-id"] == "id-8")
        }
        #expect(log.all.contains { $0.contains("status=200") && $0.contains("request=id-7") })
        #expect(log.all.contains { $0.contains("status=400") && $0.contains("route=/v1/completions") })
        #expect(log.all.contains { $0.contains("completion_tokens=2") })
        #expect(
            log.all.contains { $0.hasPrefix("info") && $0.contains("code=client_gone") && $0.contains("status=499") })
        #expect(!log.all.contains { $0.hasPrefix("error") && $0.contains("route=") })
        #expect(!log.all.contains { $0.contains("secret") }, "\(log.all)")
    }
}
