import Foundation
import Generation
import Serving
import Support
import TestSupport
import Testing

@Suite("Serving: responses")
struct ResponsesTests {
    private let temporary: TemporaryFolder
    private var folder: String { "\(temporary.path)/states" }

    init() throws { temporary = try TemporaryFolder() }

    @Test func wholeAndStreamed() async throws {
        try await serving { client in
            let body: JSONObject = [
                "model": "tiny", "input": "Hello", "instructions": "Be brief.", "max_output_tokens": 20,
                "temperature": 0, "metadata": ["a": "b"],
            ]
            let whole = try await client.post("/v1/responses", .object(body))
            #expect(whole.status == 200, "\(whole.body)")
            let response = whole.json
            #expect(response["object"] == "response" && response["status"] == "incomplete")
            #expect(response["incomplete_details"] == ["reason": "max_output_tokens"])
            #expect(response["metadata"] == ["a": "b"] && response["instructions"] == "Be brief.")
            #expect(response["usage"]?["output_tokens"] == 20)
            let id = try #require(response["id"]?.stringValue)
            let text = try #require(Self.text(response))
            #expect(try await client.get("/v1/responses/\(id)").json == response)

            var streamed = body
            streamed["stream"] = true
            let events = try await client.post("/v1/responses", .object(streamed)).named()
            #expect(events.map(\.name).first == "response.created")
            let names = events.map(\.name).filter { $0 != "response.output_text.delta" }
            #expect(
                names == [
                    "response.created", "response.in_progress", "response.output_item.added",
                    "response.content_part.added", "response.output_text.done", "response.content_part.done",
                    "response.output_item.done", "response.incomplete",
                ])
            for (number, event) in events.enumerated() {
                #expect(event.data["type"]?.stringValue == event.name)
                #expect(event.data["sequence_number"]?.integerValue == number)
            }
            #expect(events.compactMap { $0.data["delta"]?.stringValue }.joined() == text)
            let last = try #require(events.last?.data["response"])
            #expect(Self.text(last) == text)
            #expect(last["usage"]?["input_tokens_details"]?["cached_tokens"] == last["usage"]?["input_tokens"])

            // DELETE forgets it.
            #expect(
                try await client.ask("DELETE", "/v1/responses/\(id)", headers: [:], body: nil).json["deleted"] == true)
            #expect(try await client.get("/v1/responses/\(id)").status == 404)
            let gone = try await client.post("/v1/responses", ["input": "x", "previous_response_id": .string(id)])
            #expect(gone.status == 400 && gone.json["error"]?["param"] == "previous_response_id")
        }
    }

    @Test func aTurnForkAndRewind() async throws {
        try await serving { client in
            let first = try await Self.ask(client, "Hello", after: nil)
            let second = try await Self.ask(client, "And then?", after: first.id)
            #expect(second.cached >= first.prompt && second.cached < second.prompt)
            let third = try await Self.ask(client, "And then?", after: second.id)
            #expect(third.cached >= second.prompt)
            // A fork: the same question behind the same answer has the same answer; another has its own.
            let fork = try await Self.ask(client, "And then?", after: first.id)
            #expect(fork.text == second.text && fork.cached == fork.prompt)
            let other = try await Self.ask(client, "Why?", after: first.id)
            #expect(other.cached >= first.prompt)
            // A rewind goes on as if what came after had not been.
            let rewound = try await Self.ask(client, "And then?", after: second.id)
            #expect(rewound.text == third.text)
            // The conversation in one request says the same.
            let items: [JSONValue] = [
                ["role": "user", "content": "Hello"],
                ["role": "assistant", "content": [["type": "output_text", "text": .string(first.text)]]],
                ["type": "message", "role": "user", "content": [["type": "input_text", "text": "And then?"]]],
            ]
            let whole = try await client.post(
                "/v1/responses", ["input": .array(items), "max_output_tokens": 8, "temperature": 0])
            #expect(Self.text(whole.json) == second.text)
        }
    }

    @Test func conversationsAreThereAfterARestart() async throws {
        let folder = folder
        let ids = Held<[String]>([])
        let expected = Held("")
        try await serving(options: { $0.stateFolder = folder }) { client in
            let first = try await Self.ask(client, "Hello", after: nil)
            let second = try await Self.ask(client, "And then?", after: first.id)
            expected.value = try await Self.ask(client, "Why?", after: second.id).text
            ids.value = [first.id, second.id]
        }
        try await serving(options: { $0.stateFolder = folder }) { client in
            let next = try await Self.ask(client, "Why?", after: ids.value[1])
            #expect(next.text == expected.value && next.cached > 0)
            #expect(try await client.get("/v1/responses/\(ids.value[0])").status == 200)
        }
        // A damaged one is not found, with a line of the log.
        let name = try #require(temporary.contents.first { $0.contains(ids.value[0]) })
        try Data(RegularFile.contents("\(temporary.path)/\(name)").dropLast(3)).write(
            to: URL(fileURLWithPath: "\(temporary.path)/\(name)"))
        let log = LoggedLines()
        try await serving(log: log, options: { $0.stateFolder = folder }) { client in
            let reply = try await client.get("/v1/responses/\(ids.value[0])")
            #expect(reply.status == 404)
        }
        #expect(log.all.contains { $0.contains("damaged") })
        // What is not to be stored is on no disk.
        let before = temporary.contents
        try await serving(options: { $0.stateFolder = folder }) { client in
            let reply = try await client.post(
                "/v1/responses", ["input": "Unseen", "store": false, "max_output_tokens": 3])
            let id = try #require(reply.json["id"]?.stringValue)
            #expect(try await client.get("/v1/responses/\(id)").status == 404)
        }
        #expect(temporary.contents == before.filter { !$0.contains(ids.value[0]) })
    }

    @Test func eachKeyHasItsOwn() async throws {
        let folder = folder
        let id = Held("")
        try await serving(options: { ($0.keys, $0.stateFolder) = (["key-of-a", "key-of-b"], folder) }) { client in
            let (a, b) = (Client(port: client.port, key: "key-of-a"), Client(port: client.port, key: "key-of-b"))
            id.value = try await Self.ask(a, "Hello", after: nil).id
            #expect(try await a.get("/v1/responses/\(id.value)").status == 200)
            for path in ["", "/state"] { #expect(try await b.get("/v1/responses/\(id.value)\(path)").status == 404) }
            #expect(try await b.ask("DELETE", "/v1/responses/\(id.value)", headers: [:], body: nil).status == 404)
            let reply = try await b.post("/v1/responses", ["input": "x", "previous_response_id": .string(id.value)])
            #expect(reply.status == 400)
        }
        // The order of the keys tells nothing: each is itself.
        try await serving(options: { ($0.keys, $0.stateFolder) = (["key-of-b", "key-of-a"], folder) }) { client in
            let (a, b) = (Client(port: client.port, key: "key-of-a"), Client(port: client.port, key: "key-of-b"))
            let (strange, own) = (
                try await b.get("/v1/responses/\(id.value)"), try await Self.ask(a, "And?", after: id.value)
            )
            #expect(strange.status == 404)
            #expect(own.cached > 0)
        }
        for name in temporary.contents {
            #expect(!name.contains("key-of"))
            guard let data = try? RegularFile.contents("\(temporary.path)/\(name)") else { continue }
            #expect(data.firstRange(of: Data("key-of".utf8)) == nil)
        }
    }

    @Test func refusals() async throws {
        let folder = folder
        let bodies = [
            ("{}", "input"), (#"{"input": []}"#, "input"), (#"{"input": 3}"#, "input"),
            (#"{"input": "x", "tools": [{}]}"#, "tools[0].type"), (#"{"input": "x", "n": 2}"#, "n"),
            (#"{"input": "x", "background": true}"#, "background"), (#"{"input": "x", "nothing": 1}"#, "nothing"),
            (#"{"input": "x", "previous_response_id": "../../secret"}"#, "previous_response_id"),
            (#"{"input": "x", "previous_response_id": "resp_aaaaaaaaaaaaaaaaaaaaaaaa"}"#, "previous_response_id"),
            (#"{"input": [{"type": "reasoning"}]}"#, "input[0].type"),
            (#"{"input": [{"role": "user", "content": [{"type": "input_image"}]}]}"#, "input[0].content[0]"),
            (#"{"input": [{"role": "tool", "content": "x"}]}"#, "input[0].role"),
        ]
        try await serving(options: { $0.stateFolder = folder }) { client in
            for (body, field) in bodies {
                let reply = try await client.post("/v1/responses", text: body)
                #expect(reply.status == 400, "\(reply.body)")
                #expect(reply.json["error"]?["param"]?.stringValue == field)
            }
        }
    }

    @Test func memoryIsBounded() async throws {
        try await serving(options: { $0.scheduler.stateBytes = 200_000 }) { client in
            var ids: [String] = []
            for turn in 0..<12 { ids.append(try await Self.ask(client, "Hello \(turn)", after: nil).id) }
            #expect(try await client.get("/v1/responses/\(ids[0])").status == 404)
            #expect(try await client.get("/v1/responses/\(ids[11])").status == 200)
        }
    }

    // MARK: Asking

    struct Turn {
        var id: String
        var text: String
        var prompt: Int
        var cached: Int
    }

    static func ask(_ client: Client, _ question: String, after id: String?) async throws -> Turn {
        let reply = try await client.post(
            "/v1/responses",
            [
                "input": .string(question), "previous_response_id": id.map { .string($0) } ?? .null,
                "max_output_tokens": 8, "temperature": 0,
            ])
        let usage = try #require(reply.json["usage"], "\(reply.body)")
        return Turn(
            id: try #require(reply.json["id"]?.stringValue), text: try #require(text(reply.json)),
            prompt: usage["input_tokens"]?.integerValue ?? 0,
            cached: usage["input_tokens_details"]?["cached_tokens"]?.integerValue ?? 0)
    }

    static func text(_ response: JSONValue) -> String? {
        response["output"]?.arrayValue?.first?["content"]?.arrayValue?.first?["text"]?.stringValue
    }
}

extension Reply {
    /// The events of a stream with names.
    func named() throws -> [(name: String, data: JSONValue)] {
        try body.components(separatedBy: "\n\n").filter { $0.hasPrefix("event: ") }.map { event in
            let lines = event.split(separator: "\n", maxSplits: 1)
            let data = try JSONValue(parsing: Data(lines[1].dropFirst("data: ".count).utf8), .strict)
            return (String(lines[0].dropFirst("event: ".count)), data)
        }
    }
}
