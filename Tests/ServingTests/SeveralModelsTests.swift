import Foundation
import Generation
import Serving
import Support
import Synchronization
import TestSupport
import Testing

@Suite("Serving: several models")
struct SeveralModelsTests {
    private let temporary: TemporaryFolder
    private var folder: String { "\(temporary.path)/states" }

    init() throws { temporary = try TemporaryFolder() }

    private static let prompt = "The quick brown fox"

    private static func body(_ model: String?, tokens: Int = 12) -> JSONValue {
        var body: JSONObject = [
            "prompt": .string(prompt), "max_tokens": .integer(tokens), "temperature": 0, "ignore_eos": true,
        ]
        if let model { body["model"] = .string(model) }
        return .object(body)
    }

    private static func text(_ reply: Reply) -> String? { reply.json["choices"]?.arrayValue?[0]["text"]?.stringValue }

    private static func cached(_ reply: Reply) -> Int? {
        reply.json["usage"]?["prompt_tokens_details"]?["cached_tokens"]?.integerValue
    }

    /// What the list of models says of each.
    private static func status(_ client: Client) async throws -> [String: String] {
        let cards = try await client.get("/v1/models").json["data"]?.arrayValue ?? []
        return Dictionary(
            uniqueKeysWithValues: cards.map { ($0["id"]?.stringValue ?? "", $0["status"]?["value"]?.stringValue ?? "") }
        )
    }

    private static func loads(_ client: Client, _ name: String) async throws -> Int? {
        let text = try await client.get("/metrics").body
        let line = text.split(separator: "\n").first {
            $0.hasPrefix("moult:model_loads_total{model_name=\"\(name)\"}")
        }
        return line?.split(separator: " ").last.flatMap { Int($0) }
    }

    @Test func eachIsPickedByItsNameAndLoadedWhenItIsFirstAskedFor() async throws {
        let alone = Mutex<[String?]>([])
        for fixture in ["moult-gsa-window", "llama-tied"] {
            try await serving(fixture) { client in
                let reply = try await client.post("/v1/completions", Self.body(nil))
                alone.withLock { $0.append(Self.text(reply)) }
            }
        }
        let expected = alone.withLock { $0 }
        #expect(expected[0] != expected[1])
        try await serving(models: [served("student"), served("the teacher/1", of: "llama-tied")]) { client in
            #expect(try await Self.status(client) == ["student": "unloaded", "the teacher/1": "unloaded"])
            let unknown = try await client.post("/v1/completions", Self.body("tiny"))
            #expect(unknown.status == 404 && unknown.json["error"]?["code"] == "model_not_found")
            #expect(unknown.json["error"]?["param"] == "model")
            #expect(try await Self.status(client)["student"] == "unloaded")

            let teacher = try await client.post("/v1/completions", Self.body("the teacher/1"))
            #expect(teacher.json["model"] == "the teacher/1" && Self.text(teacher) == expected[1])
            #expect(try await Self.status(client) == ["student": "unloaded", "the teacher/1": "loaded"])
            // Where none is named the first is meant.
            let student = try await client.post("/v1/completions", Self.body(nil))
            #expect(student.json["model"] == "student" && Self.text(student) == expected[0])

            // Side by side each says what it says alone.
            try await withThrowingTaskGroup(of: Bool.self) { group in
                for number in 0..<12 {
                    group.addTask {
                        let name = number % 2 == 0 ? "student" : "the teacher/1"
                        return Self.text(try await client.post("/v1/completions", Self.body(name)))
                            == expected[number % 2]
                    }
                }
                for try await isSame in group { #expect(isSame) }
            }

            // What has no body names one behind a question mark.
            for path in ["/slots", "/tokenizer_info"] {
                #expect(try await client.get("\(path)?model=student").status == 200)
                #expect(try await client.get("\(path)?model=tiny").status == 404)
            }
            let tokens = try await client.post("/tokenize", ["prompt": "abc", "model": "the teacher/1"])
            #expect(tokens.json["count"] == 3)
            #expect(try await client.post("/tokenize", ["prompt": "abc", "model": "tiny"]).status == 404)
            #expect(try await client.post("/detokenize", ["tokens": [66], "model": "tiny"]).status == 404)
            #expect(try await client.get("/v1/models/student").json["meta"]?["n_vocab"] != nil)

            // Each metric is told once, with a line for each model.
            let metrics = try await client.get("/metrics").body.split(separator: "\n")
            let types = metrics.filter { $0.hasPrefix("# TYPE ") }
            #expect(Set(types).count == types.count)
            for name in ["student", "the teacher/1"] {
                #expect(metrics.contains("moult:model_loaded{model_name=\"\(name)\"} 1"))
                let generated = metrics.first {
                    $0.hasPrefix("moult:generation_tokens_total{model_name=\"\(name)\"}")
                }
                #expect(generated?.hasSuffix(" \(7 * 12)") == true, "\(generated ?? "")")
            }
        }
    }

    @Test func theLeastRecentlyUsedLeavesAndOneInUseStays() async throws {
        let models = ["first", "second", "third"].map { served($0) }
        try await serving(models: models, options: { $0.modelBytes = 250 }) { client in
            for name in ["first", "second", "first", "third"] {
                #expect(try await client.post("/v1/completions", Self.body(name)).status == 200)
            }
            #expect(try await Self.status(client) == ["first": "loaded", "second": "unloaded", "third": "loaded"])
            // What it did before it left is still told.
            let metrics = try await client.get("/metrics").body
            #expect(metrics.contains("moult:generation_tokens_total{model_name=\"second\"} 12"))

            // With one in use the other makes room, though it was used last.
            let stream = try await client.aside { try Self.endless(client, "first") }
            #expect(try await client.post("/v1/completions", Self.body("third")).status == 200)
            #expect(try await client.post("/v1/completions", Self.body("second")).status == 200)
            #expect(try await Self.status(client) == ["first": "loaded", "second": "loaded", "third": "unloaded"])
            #expect(try await Self.loads(client, "first") == 1)
            _ = stream
        }
    }

    /// Begins a text without an end.
    private static func endless(_ client: Client, _ model: String) throws -> Connection {
        let body =
            "{\"model\": \"\(model)\", \"prompt\": \"Hello\", \"max_tokens\": 100000, \"temperature\": 1, "
            + "\"stream\": true, \"ignore_eos\": true}"
        let connection = try Connection(port: client.port)
        let head = client.head("POST", "/v1/completions", headers: [:], length: body.utf8.count)
        connection.send(Data((head + body).utf8))
        while try !String(decoding: connection.receive(), as: UTF8.self).contains("data:") {}
        return connection
    }

    /// Returns when so many requests wait for the model.
    private static func waiting(_ client: Client, _ name: String) async throws {
        while true {
            let text = try await client.get("/metrics").body
            if text.contains("moult:num_requests_waiting{model_name=\"\(name)\"} 1\n") { return }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    private final class Order: Sendable { let names = Mutex<[String]>([]) }

    /// What comes of requests for models, each made when those before it wait, while a text of the first model is written, and after its end.
    /// - Parameter overtaking: what is asked for in between.
    private func order(
        patience: Double, _ names: [String], overtaking: @escaping @Sendable (Client) async throws -> Void = { _ in }
    ) async throws -> [String] {
        let order = Order()
        try await serving(
            models: [served("first"), served("second")],
            options: { ($0.modelBytes, $0.modelPatience) = (100, patience) }
        ) { client in
            let stream = Mutex<Connection?>(try await client.aside { try Self.endless(client, "first") })
            try await withThrowingTaskGroup(of: Void.self) { group in
                for name in names {
                    group.addTask {
                        let reply = try await client.post("/v1/completions", Self.body(name))
                        order.names.withLock { $0.append("\(name) \(reply.status)") }
                    }
                    try await Self.waiting(client, name)
                }
                #expect(try await Self.status(client)["second"] == "unloaded")
                try await overtaking(client)
                stream.withLock { $0 = nil }
                try await group.waitForAll()
            }
            #expect(try await Self.loads(client, "second") == 1)
        }
        return order.names.withLock { $0 }
    }

    @Test func whoNeedsRoomWaitsForThoseInUseAndIsOvertakenForAWhile() async throws {
        let order = try await order(patience: 3600, ["second"]) { client in
            let reply = try await client.post("/v1/completions", Self.body("first", tokens: 1))
            #expect(reply.status == 200)
        }
        #expect(order == ["second 200"])
    }

    @Test func whoComesAfterOneThatHasWaitedLongComesAfterIt() async throws {
        #expect(try await order(patience: 0, ["second", "first"]) == ["second 200", "first 200"])
    }

    @Test func aModelThatCannotBeLoadedLeavesTheOthersWorking() async throws {
        let isBroken = Mutex(true)
        let good = served("good")
        let models = [
            good,
            ServedModel("broken", bytes: 100) {
                if isBroken.withLock({ $0 }) { throw GenerationError.option(name: "x", expected: "y", found: "secret") }
                return try tinyContents()
            },
        ]
        let log = LoggedLines()
        try await serving(models: models, log: log) { client in
            for _ in 0..<2 {
                let reply = try await client.post("/v1/completions", Self.body("broken"))
                #expect(reply.status == 500 && reply.json["error"]?["code"] == "model_not_loaded", "\(reply.body)")
                #expect(!reply.body.contains("secret"))
                #expect(try await client.post("/v1/completions", Self.body("good")).status == 200)
            }
            #expect(log.all.contains { $0.contains("the model broken cannot be loaded") && $0.contains("secret") })
            let card = try await client.get("/v1/models/broken").json
            #expect(card["status"] == ["value": "unloaded", "failed": true] && card["meta"] == .null)
            isBroken.withLock { $0 = false }
            #expect(try await client.post("/v1/completions", Self.body("broken")).status == 200)
            #expect(try await client.get("/v1/models/broken").json["status"] == ["value": "loaded", "failed": false])
        }
    }

    @Test func statesAndConversationsAreOfOneModel() async throws {
        let folder = folder
        let models = [served("first"), served("a/b", of: "llama-tied")]
        let ids = Mutex<[String]>([])
        try await serving(
            models: models,
            options: {
                $0.stateFolder = folder
                $0.modelBytes = 100
            }
        ) { client in
            // They take turns in the memory, and each finds its states on the disk again.
            for expected in [[0, 0], [Self.prompt.count, Self.prompt.count]] {
                var found: [Int?] = []
                for name in ["first", "a/b"] {
                    found.append(Self.cached(try await client.post("/v1/completions", Self.body(name))))
                }
                #expect(found == expected)
            }
            for name in ["first", "a/b"] {
                let body: JSONValue = [
                    "model": .string(name), "input": "Hello", "max_output_tokens": 8, "temperature": 0,
                ]
                let response = try await client.post("/v1/responses", body).json
                let id = try #require(response["id"]?.stringValue)
                ids.withLock { $0.append(id) }
            }
        }
        let names = try FileManager.default.contentsOfDirectory(atPath: "\(folder)/models").sorted()
        #expect(names == ["a%2fb", "first"])
        let known = ids.withLock { $0 }
        try await serving(models: models, options: { $0.stateFolder = folder }) { client in
            for (name, id) in zip(["first", "a/b"], known) {
                #expect(try await client.get("/v1/responses/\(id)").json["model"] == .string(name))
                // The conversation goes on with its model, without its name.
                let next = try await client.post(
                    "/v1/responses", ["input": "And?", "previous_response_id": .string(id), "max_output_tokens": 4])
                #expect(next.json["model"] == .string(name), "\(next.body)")
                #expect((next.json["usage"]?["input_tokens_details"]?["cached_tokens"]?.integerValue ?? 0) > 0)
                // And with no other.
                let other = try await client.post(
                    "/v1/responses",
                    [
                        "model": .string(name == "first" ? "a/b" : "first"), "input": "x",
                        "previous_response_id": .string(id),
                    ])
                #expect(other.status == 400 && other.json["error"]?["code"] == "response_not_found")
            }
            #expect(try await client.get("/v1/responses/resp_unknown").status == 404)
            let state = try await client.get("/v1/responses/\(known[0])/state")
            #expect(state.status == 200)
        }
    }

    @Test func whatMakesNoSense() throws {
        func refused(_ models: [ServedModel], bytes: Int? = nil) -> String {
            var options = ServerOptions()
            options.modelBytes = bytes
            do { _ = try ModelServer(models, options: options, logger: LoggedLines().logger) } catch {
                return "\(error)"
            }
            return "nothing"
        }
        #expect(refused([]) == "model: expected a model, found none")
        #expect(refused([served("a"), served("a")]) == "name: expected a name for each model, found a twice")
        #expect(refused([served("")]) == "name: expected text, found none")
        #expect(
            refused([served("a"), served("b")], bytes: 99)
                == "modelBytes: expected 100 or more, which a takes, found 99")
    }
}
