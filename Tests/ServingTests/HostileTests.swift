import Foundation
import Support
import TestSupport
import Testing

@Suite("Clients that mean no good")
struct HostileTests {
    /// As many open files as there may be.
    private func raiseDescriptorLimit() throws {
        var limit = rlimit()
        try #require(getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0)
        limit.rlim_cur = min(limit.rlim_max, 4096)
        try #require(setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0)
    }

    private static let question: JSONValue = ["prompt": "Hi", "max_tokens": 3, "ignore_eos": true]

    @Test func aThousandConnectionsThatSayNothing() async throws {
        try raiseDescriptorLimit()
        try await serving(options: { $0.connections = 1005 }) { client in
            let silent = try await client.aside { try (0..<1000).map { _ in try Connection(port: client.port) } }
            let reply = try await client.post("/v1/completions", Self.question)
            #expect(reply.json["usage"]?["completion_tokens"] == 3)
            withExtendedLifetime(silent) {}
        }
    }

    @Test func connectionsAreCounted() async throws {
        try await serving(options: { $0.connections = 2 }) { client in
            var silent: [Connection]? = try await client.aside {
                try (0..<2).map { _ in try Connection(port: client.port) }
            }
            async let answer = (client.post("/v1/completions", Self.question).status, ContinuousClock.now)
            try await Task.sleep(for: .seconds(1))
            let released = ContinuousClock.now
            silent = nil
            let (status, end) = try await answer
            #expect(status == 200)
            #expect(end >= released, "answered while two connections were open")
            #expect(silent == nil)
        }
    }

    @Test func halfARequest() async throws {
        try await serving(options: { $0.idleSeconds = 1 }) { client in
            for half in ["POST /v1/compl", "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Le"] {
                let answer = try await client.aside {
                    let connection = try Connection(port: client.port)
                    connection.send(Data(half.utf8))
                    return try connection.receiveAll()
                }
                #expect(answer == [], "\(half): \(String(decoding: answer, as: UTF8.self))")
            }
        }
        try await serving(options: { $0.bodySeconds = 1 }) { client in
            let reply = try await client.aside {
                let connection = try Connection(port: client.port)
                let head = client.head("POST", "/v1/completions", headers: [:], length: 100)
                connection.send(Data((head + #"{"prompt": "#).utf8))
                return try Reply(connection.receiveAll())
            }
            #expect(reply.status == 408)
            #expect(reply.json["error"]?["code"] == "timeout")
        }
    }

    /// Answered at once; who goes on sending is not listened to for long.
    @Test("a body of 100 MB, announced or not", .timeLimit(.minutes(5)), arguments: [true, false]) func largeBody(
        _ isAnnounced: Bool
    )
        async throws
    {
        try await serving(options: { ($0.maximumBody, $0.idleSeconds) = (1 << 20, 3600) }) { client in
            let reply = try await client.aside {
                let connection = try Connection(port: client.port)
                let part = Data(repeating: UInt8(ascii: "x"), count: 1 << 20)
                if isAnnounced {
                    connection.send(
                        Data(client.head("POST", "/v1/completions", headers: [:], length: 100 << 20).utf8))
                    for _ in 0..<100 { connection.send(part) }
                } else {
                    let head = client.head(
                        "POST", "/v1/completions", headers: ["Transfer-Encoding": "chunked"], length: nil)
                    connection.send(Data(head.utf8))
                    for _ in 0..<100 { connection.send(Data("100000\r\n".utf8) + part + Data("\r\n".utf8)) }
                }
                return try Reply(connection.receiveAll())
            }
            #expect(reply.status == 413)
            #expect(reply.json["error"]?["code"] == "body_too_large")
        }
    }

    @Test func floodsOfHeaders() async throws {
        try await serving { client in
            let floods = [
                (0..<5000).map { "x-\($0): y" }.joined(separator: "\r\n"),
                "x-long: " + String(repeating: "y", count: 1 << 20),
                String(repeating: "z", count: 1 << 20) + ": y",
            ]
            for flood in floods {
                let answer = try await client.aside {
                    let connection = try Connection(port: client.port)
                    connection.send(Data("GET /v1/models HTTP/1.1\r\nHost: x\r\n\(flood)\r\n\r\n".utf8))
                    return try connection.receiveAll()
                }
                let status = String(decoding: answer.prefix(12), as: UTF8.self)
                #expect(["HTTP/1.1 400", "HTTP/1.1 431", ""].contains(status), "\(flood.prefix(20)): \(status)")
            }
            #expect(try await client.get("/v1/models").status == 200)
        }
    }
}
