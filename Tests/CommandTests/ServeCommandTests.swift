import Foundation
import Support
import TestSupport
import Testing

@Suite("moult serve", .timeLimit(.minutes(2)))
struct ServeCommandTests {
    /// A port that was free a moment ago.
    private func freePort() throws -> Int {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, size) == 0 && getsockname(descriptor, $0, &size) == 0
            }
        }
        guard isBound else { throw Connection.Fault(description: "no port: \(errno)") }
        return Int(in_port_t(bigEndian: address.sin_port))
    }

    /// A server of a tiny model, once it takes requests.
    private func serve(_ place: TinyModel, _ options: String...) throws -> (process: RunningMoult, client: Client) {
        let port = try freePort()
        let process = try RunningMoult(["serve", place.teacher, "--port", "\(port)"] + options)
        process.wait { (try? Connection(port: port)) != nil }
        return (process, Client(port: port))
    }

    @Test(arguments: [SIGTERM, SIGINT])
    func aSignalEndsStreamsWithAWord(_ signal: Int32) async throws {
        let place = try TinyModel()
        let (process, client) = try serve(place, "--grace", "0.2", "--name", "tiny")
        #expect(try await client.get("/v1/models").json["data"]?.arrayValue?[0]["id"] == "tiny")
        let body = "{\"prompt\": \"The fox\", \"stream\": true, \"max_tokens\": 30000, \"ignore_eos\": true}"
        let identifier = process.identifier
        let reply = try await client.aside {
            let connection = try Connection(port: client.port)
            let head = client.head("POST", "/v1/completions", headers: [:], length: body.utf8.count)
            connection.send(Data((head + body).utf8))
            var bytes = try connection.receive()
            while !String(decoding: bytes, as: UTF8.self).contains("data:") { bytes += try connection.receive() }
            kill(identifier, signal)
            return try Reply(bytes + connection.receiveAll())
        }
        let parts = try reply.parts()
        #expect(parts.count > 1)
        #expect(parts.last?["error"]?["code"] == "shutting_down" || parts.last?["choices"] != nil)
        let result = process.finish()
        #expect(result.status == 0, "\(result.error)")
        #expect(result.output.isEmpty)
        #expect(result.error.contains("serving tiny at http://127.0.0.1:\(client.port)"))
        #expect(result.error.contains("route=/v1/completions status=200"), "\(result.error)")
        #expect(!result.error.contains("The fox"))
    }

    @Test func severalModelsByName() async throws {
        let place = try TinyModel()
        let port = try freePort()
        let process = try RunningMoult([
            "serve", place.teacher, "other=\(place.teacher)", "--port", "\(port)", "--model-memory", "100k",
            "--state-folder",
            "\(place.path)/states",
        ])
        process.wait { (try? Connection(port: port)) != nil }
        let client = Client(port: port)
        let name = URL(fileURLWithPath: place.teacher).lastPathComponent
        let cards = try await client.get("/v1/models").json["data"]?.arrayValue ?? []
        #expect(cards.map { $0["id"] } == [.string(name), "other"])
        #expect(cards.map { $0["status"]?["value"] } == ["unloaded", "unloaded"])
        var texts: [JSONValue?] = []
        for model in [name, "other"] {
            let reply = try await client.post(
                "/v1/completions", ["model": .string(model), "prompt": "The fox", "max_tokens": 8, "temperature": 0])
            #expect(reply.json["model"] == .string(model), "\(reply.body)")
            texts.append(reply.json["choices"]?.arrayValue?[0]["text"])
        }
        #expect(texts[0] != nil && texts[0] == texts[1])
        process.signal(SIGTERM)
        let result = process.finish()
        #expect(result.status == 0, "\(result.error)")
        #expect(result.error.contains("serving \(name), other at"))
    }

    @Test func keysOfAFile() async throws {
        let place = try TinyModel()
        let keys = try place.write("keys", "# of a friend\nfirst\n\n second \n")
        let (process, client) = try serve(place, "--api-key-file", keys)
        #expect(try await client.get("/v1/models").status == 401)
        for key in ["first", "second"] {
            #expect(try await Client(port: client.port, key: key).get("/v1/models").status == 200)
        }
        process.signal(SIGTERM)
        #expect(process.finish().status == 0)
    }

    @Test func whatCannotBeServed() throws {
        let place = try TinyModel()
        let empty = try place.write("empty", "# nothing\n")
        for (arguments, status, text) in [
            (["--port", "70000"], 64, "--port: expected 0 to 65535, found 70000"),
            (["--batch", "0"], 64, "--batch: expected 1 to 4096, found 0"),
            (["--grace", "-1"], 64, "--grace"),
            (["--max-tokens", "0"], 64, "--max-tokens: expected 1 or more, found 0"),
            (["--api-key-file", empty], 64, "--api-key-file \(empty): expected a key a line, found none"),
            (["--api-key-file", "\(empty)-"], 64, "--api-key-file \(empty)-"),
            (["--host", "256.1.1.1"], 64, "--host 256.1.1.1 --port 8080: cannot serve there"),
            ([place.teacher], 1, "MODEL: expected a name for each model, as NAME=MODEL, found teacher twice"),
            (["b=\(place.teacher)", "--name", "x"], 64, "--name: expected one model, found several"),
            (["b=\(place.teacher)", "--model-memory", "1k"], 64, "--model-memory: expected"),
            (["b=\(empty)-"], 1, "\(empty)-"),
        ] as [([String], Int32, String)] {
            let result = try MoultProcess(arguments: ["serve", place.teacher] + arguments)
            #expect(result.status == status, "\(arguments): \(result.error)")
            #expect(result.error.contains(text), "\(result.error)")
        }
    }
}
