import Foundation
import Support

/// A connection to a server of this machine, which says and hears exactly what a test wants.
package final class Connection: @unchecked Sendable {
    private let descriptor: Int32

    package struct Fault: Error, CustomStringConvertible {
        package let description: String

        package init(description: String) { self.description = description }
    }

    /// - Parameter receiveBuffer: bytes that wait to be read; nil for as many as the system sees fit.
    package init(port: Int, receiveBuffer: Int32? = nil) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        if var receiveBuffer {
            setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &receiveBuffer, socklen_t(MemoryLayout<Int32>.size))
        }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        let size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, size) }
        }
        guard result == 0 else { throw Fault(description: "connect: \(errno)") }
        // Beside others on few cores a test may stand still for minutes.
        var timeout = timeval(tv_sec: 900, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { close(descriptor) }

    package func send(_ bytes: some Sequence<UInt8>) {
        var rest = Array(bytes)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            // A server that refuses a body need not read all of it.
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }

    /// The next bytes; none when the server has closed the connection.
    package func receive() throws -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        if count < 0, errno == ECONNRESET { return [] }
        guard count >= 0 else { throw Fault(description: "recv: \(errno)") }
        return Array(buffer[..<count])
    }

    package func receiveAll() throws -> [UInt8] {
        var all: [UInt8] = []
        while true {
            let bytes = try receive()
            if bytes.isEmpty { return all }
            all += bytes
        }
    }
}

/// What a server answered.
package struct Reply: Sendable {
    package let status: Int
    package let headers: [String: String]
    package let body: String

    package init(_ bytes: [UInt8]) throws {
        guard let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) else {
            throw Connection.Fault(description: "no head: \(String(decoding: bytes.prefix(200), as: UTF8.self))")
        }
        let lines = String(decoding: bytes[..<end.lowerBound], as: UTF8.self).components(separatedBy: "\r\n")
        status = Int(lines[0].split(separator: " ")[1]) ?? 0
        headers = Dictionary(
            lines.dropFirst().compactMap { line in
                line.firstIndex(of: ":").map {
                    (line[..<$0].lowercased(), line[line.index(after: $0)...].trimmingCharacters(in: .whitespaces))
                }
            }
        ) { $1 }
        let rest = Array(bytes[end.upperBound...])
        body = String(
            decoding: headers["transfer-encoding"] == "chunked" ? try Self.unchunked(rest) : rest, as: UTF8.self)
    }

    private static func unchunked(_ bytes: [UInt8]) throws -> [UInt8] {
        var (rest, all) = (bytes[...], [UInt8]())
        while let line = rest.firstRange(of: Array("\r\n".utf8)) {
            guard let count = Int(String(decoding: rest[..<line.lowerBound], as: UTF8.self), radix: 16) else {
                throw Connection.Fault(description: "a chunk without a length")
            }
            if count == 0 { return all }
            all += rest[line.upperBound...].prefix(count)
            rest = rest[line.upperBound...].dropFirst(count + 2)
        }
        throw Connection.Fault(description: "the last chunk is missing")
    }

    package var json: JSONValue { (try? JSONValue(parsing: Data(body.utf8), .strict)) ?? .null }

    /// The data of a stream's events.
    package var events: [String] {
        body.components(separatedBy: "\n\n").filter { $0.hasPrefix("data: ") }.map { String($0.dropFirst(6)) }
    }

    /// The objects of a stream, which must end with [DONE].
    package func parts() throws -> [JSONValue] {
        guard events.last == "[DONE]" else { throw Connection.Fault(description: "the stream has no end: \(body)") }
        return try events.dropLast().map { try JSONValue(parsing: Data($0.utf8), .strict) }
    }
}

/// Asks a server of this machine; one connection for each question.
package struct Client: Sendable {
    package let port: Int
    private let key: String?

    package init(port: Int, key: String? = nil) { (self.port, self.key) = (port, key) }

    package func get(_ path: String, headers: [String: String] = [:]) async throws -> Reply {
        try await ask("GET", path, headers: headers, body: nil)
    }

    package func post(_ path: String, _ body: JSONValue, headers: [String: String] = [:]) async throws -> Reply {
        try await ask("POST", path, headers: headers, body: Data(body.text().utf8))
    }

    package func post(_ path: String, text: String) async throws -> Reply {
        try await ask("POST", path, headers: [:], body: Data(text.utf8))
    }

    package func head(_ method: String, _ path: String, headers: [String: String], length: Int?) -> String {
        var lines = ["\(method) \(path) HTTP/1.1", "Host: 127.0.0.1", "Connection: close"]
        if let length { lines += ["Content-Length: \(length)", "Content-Type: application/json"] }
        if let key { lines.append("Authorization: Bearer \(key)") }
        lines += headers.map { "\($0): \($1)" }
        return lines.joined(separator: "\r\n") + "\r\n\r\n"
    }

    package func ask(_ method: String, _ path: String, headers: [String: String], body: Data?) async throws -> Reply {
        let head = head(method, path, headers: headers, length: body?.count)
        return try await aside {
            let connection = try Connection(port: port)
            connection.send(Data(head.utf8) + (body ?? Data()))
            return try Reply(connection.receiveAll())
        }
    }

    /// Runs what waits on a thread of its own, as the server needs those of Swift's tasks.
    package func aside<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread { continuation.resume(with: Result(catching: body)) }
        }
    }
}
