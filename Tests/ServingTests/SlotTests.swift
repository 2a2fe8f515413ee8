import Foundation
import Generation
import Serving
import Support
import TestSupport
import Testing

@Suite("Serving: slots and states")
struct SlotTests {
    private let temporary: TemporaryFolder
    private var folder: String { "\(temporary.path)/states" }

    init() throws { temporary = try TemporaryFolder() }

    private static let question: JSONValue = [
        "prompt": "The quick brown fox jumps", "max_tokens": 4, "temperature": 0, "id_slot": 1,
        "logit_bias": ["66": 100],
    ]

    private static func cached(_ reply: Reply) -> Int? {
        reply.json["usage"]?["prompt_tokens_details"]?["cached_tokens"]?.integerValue
    }

    @Test func savedAndRestored() async throws {
        let folder = folder
        try await serving(options: { $0.stateFolder = folder }) { client in
            let empty = try await client.post("/slots/1?action=save", ["filename": "fox.bin"])
            #expect(empty.status == 400 && empty.json["error"]?["code"] == "slot_is_empty")
            _ = try await client.post("/v1/completions", Self.question)
            let slots = try #require(try await client.get("/slots").json.arrayValue)
            #expect(slots.count == 8)
            #expect(slots.allSatisfy { $0["is_processing"] == false })
            // The last of the generated tokens is not read.
            #expect(slots.map { $0["n_tokens"]?.integerValue } == [0, 25 + 3, 0, 0, 0, 0, 0, 0])
            let saved = try await client.post("/slots/1?action=save", ["filename": "fox.bin"])
            #expect(saved.status == 200, "\(saved.body)")
            #expect(saved.json["id_slot"] == 1 && saved.json["filename"] == "fox.bin" && saved.json["n_saved"] == 28)
            #expect((saved.json["n_written"]?.integerValue ?? 0) > 1000)
            #expect((saved.json["timings"]?["save_ms"]?.doubleValue ?? -1) >= 0)
            // Erased: not there for the next.
            let erased = try await client.post("/slots/1?action=erase", [:])
            #expect(erased.json["n_erased"] == 28)
            #expect(try await client.post("/slots/1?action=erase", [:]).json["n_erased"] == 0)
        }
        // All other states are gone; the saved one is used after it was restored.
        try FileManager.default.removeItem(atPath: "\(folder)/states")
        try await serving(options: { $0.stateFolder = folder }) { client in
            let restored = try await client.post("/slots/3?action=restore", ["filename": "fox.bin"])
            #expect(restored.json["id_slot"] == 3 && restored.json["n_restored"] == 28, "\(restored.body)")
            #expect((restored.json["n_read"]?.integerValue ?? 0) > 1000)
            let text = try await client.post("/v1/completions", Self.question)
            #expect(Self.cached(text) == 0, "the prompt's end was not saved")
            #expect(text.json["choices"]?.arrayValue?[0]["text"] == "aaaa")
            let next = try await client.post(
                "/v1/completions",
                ["prompt": "The quick brown fox jumpsaaaa", "max_tokens": 1, "temperature": 0])
            #expect(Self.cached(next) == 28)
        }
    }

    @Test func pathTricks() async throws {
        let folder = folder
        try await serving(options: { $0.stateFolder = folder }) { client in
            _ = try await client.post("/v1/completions", Self.question)
            for name in [
                "../fox", "/etc/passwd", "a/b", ".hidden", "..", "", "fox\u{0}", "f\u{F6}x",
                String(repeating: "a", count: 200),
            ] {
                for action in ["save", "restore"] {
                    let reply = try await client.post("/slots/1?action=\(action)", ["filename": .string(name)])
                    #expect(reply.status == 400 && reply.json["error"]?["param"] == "filename", "\(reply.body)")
                }
            }
        }
        #expect(!temporary.contents.contains { $0.contains("slots/") })
    }

    @Test func refusals() async throws {
        let folder = folder
        try await serving { client in
            for action in ["save", "restore"] {
                let reply = try await client.post("/slots/0?action=\(action)", ["filename": "a"])
                #expect(reply.status == 501 && reply.json["error"]?["type"] == "not_supported_error")
            }
            for path in ["/slots/8?action=erase", "/slots/-1?action=erase", "/slots/x?action=erase"] {
                #expect(try await client.post(path, [:]).status == 404)
            }
            for path in ["/slots/0", "/slots/0?action=fly"] { #expect(try await client.post(path, [:]).status == 400) }
        }
        try await serving(options: { $0.stateFolder = folder }) { client in
            _ = try await client.post("/v1/completions", Self.question)
            #expect(try await client.post("/slots/1?action=save", ["filename": "a"]).status == 200)
            #expect(try await client.post("/slots/1?action=restore", ["filename": "b"]).status == 404)
        }
        // Of another model, cut short, and of another program.
        try await serving("moult-gsa", options: { $0.stateFolder = folder }) { client in
            let reply = try await client.post("/slots/1?action=restore", ["filename": "a"])
            #expect(reply.status == 400)
            #expect(reply.json["error"]?["message"]?.stringValue?.contains("another model") == true)
            #expect(reply.json["error"]?["message"]?.stringValue?.contains(folder) == false)
        }
        let place = try #require(temporary.contents.first { $0.hasSuffix("/a") })
        let bytes = Array(try RegularFile.contents("\(temporary.path)/\(place)"))
        for (damaged, word) in [(Array(bytes.dropLast(9)), "damaged"), (Array("hello".utf8), "expected a state")] {
            try temporary.write(place, damaged)
            try await serving(options: { $0.stateFolder = folder }) { client in
                let reply = try await client.post("/slots/1?action=restore", ["filename": "a"])
                #expect(reply.status == 400)
                #expect(reply.json["error"]?["message"]?.stringValue?.contains(word) == true, "\(reply.body)")
            }
        }
        // What is no state is not replaced.
        try await serving(options: { $0.stateFolder = folder }) { client in
            _ = try await client.post("/v1/completions", Self.question)
            #expect(try await client.post("/slots/1?action=save", ["filename": "a"]).status == 400)
        }
    }

    @Test func slotsOfOtherKeys() async throws {
        let folder = folder
        try await serving(options: { ($0.keys, $0.stateFolder) = (["aa", "bb"], folder) }) { client in
            let (a, b) = (Client(port: client.port, key: "aa"), Client(port: client.port, key: "bb"))
            _ = try await a.post("/v1/completions", Self.question)
            #expect(try await a.post("/slots/1?action=save", ["filename": "mine"]).status == 200)
            #expect(try await b.get("/slots").json.arrayValue?[1]["n_tokens"] == 0)
            #expect(try await b.post("/slots/1?action=save", ["filename": "theirs"]).status == 400)
            #expect(try await b.post("/slots/1?action=restore", ["filename": "mine"]).status == 404)
            #expect(try await b.post("/slots/1?action=erase", [:]).json["n_erased"] == 0)
            #expect(try await client.get("/slots").status == 401)
        }
    }

    // MARK: States that are handed out

    private static func upload(_ client: Client, _ bytes: [UInt8]) async throws -> Reply {
        try await client.ask("POST", "/v1/states", headers: [:], body: Data(bytes))
    }

    @Test func aStateGoesOutAndComesBack() async throws {
        let folder = folder
        let (sealed, expected) = (Held<[UInt8]>([]), Held(""))
        try await serving(options: { $0.stateFolder = folder }) { client in
            let first = try await ResponsesTests.ask(client, "Hello", after: nil)
            let bytes = try await client.bytes("/v1/responses/\(first.id)/state")
            expected.value = try await ResponsesTests.ask(client, "And?", after: first.id).text
            sealed.value = bytes
            #expect(bytes.starts(with: Array("MoultSe\n".utf8)))
            #expect(bytes.dropFirst(96).starts(with: Array("MoultSt\n".utf8)))
        }
        // The states and conversations are gone, the secret is not.
        for name in ["states", "responses"] { try FileManager.default.removeItem(atPath: "\(folder)/\(name)") }
        try await serving(options: { $0.stateFolder = folder }) { client in
            let reply = try await Self.upload(client, sealed.value)
            #expect(reply.status == 200, "\(reply.body)")
            let id = try #require(reply.json["id"]?.stringValue)
            let next = try await ResponsesTests.ask(client, "And?", after: id)
            #expect(next.text == expected.value)
            #expect(next.cached == reply.json["tokens"]?.integerValue)
            // Altered anywhere, cut, or longer than it was.
            var generator = SplitMix64(seed: 5)
            let places =
                [0, 8, 16, 24, 32, 63, 64, 95, 96, sealed.value.count - 1]
                + (0..<10).map { _ in Int.random(in: 0..<sealed.value.count, using: &generator) }
            for place in places {
                var bytes = sealed.value
                bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
                let reply = try await Self.upload(client, bytes)
                #expect(reply.status == 400 && reply.json["error"]?["code"] == "forged_state", "byte \(place)")
            }
            for bytes in [
                [], Array(sealed.value.prefix(95)), Array(sealed.value.prefix(96)), Array(sealed.value.dropLast()),
                sealed.value + [0], Array(sealed.value.dropFirst(96)), [UInt8](repeating: 7, count: 1 << 20),
            ] {
                let reply = try await Self.upload(client, bytes)
                #expect(reply.status == 400 && reply.json["error"]?["code"] == "forged_state", "\(bytes.count) bytes")
            }
            // A body without an end is left at its head.
            let size = try await client.aside { () -> Int in
                let connection = try Connection(port: client.port)
                connection.send(client.head("POST", "/v1/states", headers: [:], length: 100_000_000).utf8)
                var sent = 0
                for _ in 0..<100 {
                    connection.send([UInt8](repeating: 1, count: 1_000_000))
                    sent += 1
                }
                let reply = try Reply(connection.receiveAll())
                return reply.status
            }
            #expect(size == 400)
        }
        // Another server's secret, and another model.
        try await serving { client in
            let reply = try await Self.upload(client, sealed.value)
            #expect(reply.json["error"]?["code"] == "forged_state")
        }
        try await serving("moult-gsa", options: { $0.stateFolder = folder }) { client in
            let reply = try await Self.upload(client, sealed.value)
            #expect(reply.json["error"]?["code"] == "other_model")
        }
    }

    @Test func aFolderInUseIsRefused() async throws {
        let folder = folder
        try await serving(options: { $0.stateFolder = folder }) { _ in
            await #expect(throws: GenerationError.self) {
                try await serving(options: { $0.stateFolder = folder }) { _ in }
            }
        }
    }
}

/// A value that several servers of a test share.
final class Held<Value: Sendable>: @unchecked Sendable {
    var value: Value
    init(_ value: Value) { self.value = value }
}

extension Client {
    /// The body of an answer as bytes.
    func bytes(_ path: String) async throws -> [UInt8] {
        try await aside {
            let connection = try Connection(port: port)
            connection.send(head("GET", path, headers: [:], length: nil).utf8)
            let all = try connection.receiveAll()
            guard let end = all.firstRange(of: Array("\r\n\r\n".utf8)) else { return [] }
            return Array(all[end.upperBound...])
        }
    }
}
