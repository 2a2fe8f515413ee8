import Foundation
import Support

/// A moment by which something must have happened.
struct Deadline {
    private let end: ContinuousClock.Instant

    init(seconds: Double) { end = .now + .seconds(seconds) }

    var isPast: Bool { ContinuousClock.now >= end }
    /// As `poll` takes it, at most `most`.
    func milliseconds(most: Int32 = 200) -> Int32 {
        let left = ContinuousClock.now.duration(to: end) / .milliseconds(1)
        return Int32(min(max(0, left.rounded(.up)), Double(most)))
    }
}

/// A TCP connection that is never waited for longer than asked; closed with its owner.
final class Connection: Sendable {
    /// Why bytes do not come or go any more.
    struct Broken: Error { let reason: String }

    let descriptor: Descriptor

    init(_ number: Int32) {
        descriptor = Descriptor(socket: number)
        descriptor.turnOn(TCP_NODELAY, of: Int32(IPPROTO_TCP))
    }

    /// Connects to `address`, trying again until the deadline.
    /// - Throws: ``Broken`` with the last reason.
    static func reach(_ address: String, port: Int, until deadline: Deadline) throws -> Connection {
        var reason = "nobody answered"
        repeat {
            do {
                for place in try SocketAddress.all(address, port: port) {
                    if let connection = try attempt(place, &reason, until: deadline) { return connection }
                }
            } catch let broken as Broken { reason = broken.reason }
            usleep(100_000)
        } while !deadline.isPast
        throw Broken(reason: reason)
    }

    private static func attempt(
        _ place: SocketAddress, _ reason: inout String, until deadline: Deadline
    ) throws -> Connection? {
        let number = socket(place.family, Int32(SOCK_STREAM.rawValue), 0)
        guard number >= 0 else { throw Broken(reason: String(cString: strerror(errno))) }
        let connection = Connection(number)
        if place.with({ connect(number, $0, $1) }) != 0, errno != EINPROGRESS {
            reason = String(cString: strerror(errno))
            return nil
        }
        var entry = pollfd(fd: number, events: Int16(POLLOUT), revents: 0)
        guard poll(&entry, 1, deadline.milliseconds(most: 5000)) == 1 else { return nil }
        var (fault, size) = (Int32(0), socklen_t(MemoryLayout<Int32>.size))
        getsockopt(number, SOL_SOCKET, SO_ERROR, &fault, &size)
        guard fault == 0 else {
            reason = String(cString: strerror(fault))
            return nil
        }
        return connection
    }

    /// What may be sent now of `bytes`; 0 when that is nothing.
    func send(some bytes: UnsafeRawBufferPointer) throws -> Int {
        guard let base = bytes.baseAddress, !bytes.isEmpty else { return 0 }
        let count = Glibc.send(descriptor.number, base, bytes.count, Int32(MSG_NOSIGNAL))
        if count >= 0 { return count }
        if errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR { return 0 }
        throw Broken(reason: String(cString: strerror(errno)))
    }

    /// What has come, into `bytes`; 0 when that is nothing.
    func receive(some bytes: UnsafeMutableRawBufferPointer) throws -> Int {
        guard let base = bytes.baseAddress, !bytes.isEmpty else { return 0 }
        let count = recv(descriptor.number, base, bytes.count, 0)
        if count > 0 { return count }
        if count == 0 { throw Broken(reason: "the connection was closed") }
        if errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR { return 0 }
        throw Broken(reason: String(cString: strerror(errno)))
    }

    /// The address of the other end, without its port.
    var peerAddress: String? {
        var (storage, size) = (sockaddr_storage(), socklen_t(MemoryLayout<sockaddr_storage>.size))
        var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        let failed = withUnsafeMutablePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                getpeername(descriptor.number, $0, &size) != 0
                    || getnameinfo($0, size, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST) != 0
            }
        }
        return failed ? nil : String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

extension Descriptor {
    /// A socket that nobody waits for, and that no program has that this one starts.
    fileprivate convenience init(socket number: Int32) {
        self.init(number)
        _ = fcntl(number, F_SETFL, fcntl(number, F_GETFL) | O_NONBLOCK)
        _ = fcntl(number, F_SETFD, FD_CLOEXEC)
    }

    fileprivate func turnOn(_ option: Int32, of level: Int32) {
        var on: Int32 = 1
        setsockopt(number, level, option, &on, socklen_t(MemoryLayout<Int32>.size))
    }
}

/// An address as the system has it.
struct SocketAddress {
    let family: Int32
    private let bytes: [UInt8]

    /// All that a name stands for. An empty name stands for every address of this host.
    static func all(_ name: String, port: Int) throws -> [SocketAddress] {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = name.isEmpty ? AI_PASSIVE : 0
        var list: UnsafeMutablePointer<addrinfo>?
        let result = getaddrinfo(name.isEmpty ? nil : name, String(port), &hints, &list)
        guard result == 0 else { throw Connection.Broken(reason: String(cString: gai_strerror(result))) }
        defer { freeaddrinfo(list) }
        return sequence(first: list, next: { $0?.pointee.ai_next }).compactMap { entry in
            guard let info = entry?.pointee, let address = info.ai_addr else { return nil }
            let raw = UnsafeRawBufferPointer(start: address, count: Int(info.ai_addrlen))
            return SocketAddress(family: info.ai_family, bytes: Array(raw))
        }
    }

    func with<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        bytes.withUnsafeBytes { raw in
            var storage = sockaddr_storage()
            withUnsafeMutableBytes(of: &storage) { $0.copyMemory(from: raw) }
            return withUnsafePointer(to: &storage) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(raw.count)) }
            }
        }
    }
}

/// A place where connections come in.
final class Listener {
    private let descriptor: Descriptor
    /// Its number, also where any free one was asked for.
    let port: Int

    /// - Parameter address: empty for every address of this host.
    /// - Throws: `Connection.Broken`.
    init(_ address: String, port: Int) throws {
        var last = "it has no address"
        for place in try SocketAddress.all(address, port: port) {
            let number = socket(place.family, Int32(SOCK_STREAM.rawValue), 0)
            guard number >= 0 else { continue }
            let descriptor = Descriptor(socket: number)
            descriptor.turnOn(SO_REUSEADDR, of: SOL_SOCKET)
            guard place.with({ bind(number, $0, $1) }) == 0, listen(number, 128) == 0,
                let port = Self.port(of: number)
            else {
                last = String(cString: strerror(errno))
                continue
            }
            (self.descriptor, self.port) = (descriptor, port)
            return
        }
        throw Connection.Broken(reason: last)
    }

    private static func port(of number: Int32) -> Int? {
        var (storage, size) = (sockaddr_storage(), socklen_t(MemoryLayout<sockaddr_storage>.size))
        let result = withUnsafeMutablePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(number, $0, &size) }
        }
        guard result == 0 else { return nil }
        // The port stands at the same place in addresses of both families.
        return withUnsafeBytes(of: &storage) { Int($0[2]) << 8 | Int($0[3]) }
    }

    var number: Int32 { descriptor.number }

    /// A connection that has come in; nil when none has.
    func accept() -> Connection? {
        let number = Glibc.accept(descriptor.number, nil, nil)
        return number >= 0 ? Connection(number) : nil
    }
}
