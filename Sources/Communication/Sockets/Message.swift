import Foundation

/// What ranks say to each other beside tensors: four bytes by which it is known, a kind, a length and a text.
struct Message: Equatable {
    enum Kind: UInt8 {
        /// Who comes, as JSON.
        case greeting = 1
        /// Where all are, as JSON.
        case table
        /// Why a rank is not let in.
        case refusal
        /// Nothing but that the sender is alive.
        case heartbeat
        /// That a rank is lost, as JSON.
        case lost
        /// That the sender ends because of an error.
        case failure
        /// That the sender is done.
        case farewell
    }

    var kind: Kind
    var text: String

    private static let mark: [UInt8] = Array("MLT1".utf8)
    private static let headerBytes = 9
    /// More than any message has.
    private static let limit = 1 << 20

    /// It does not come from a rank.
    struct Foreign: Error {}

    var bytes: [UInt8] {
        let body = Array(text.utf8.prefix(Self.limit)), count = UInt32(body.count)
        return Self.mark + [kind.rawValue] + (0..<4).map { UInt8(truncatingIfNeeded: count >> (8 * UInt32($0))) } + body
    }

    /// How many bytes a message has that begins with `bytes`, as far as these tell: at least one more while it is not complete.
    /// - Throws: ``Foreign``.
    static func count(_ bytes: [UInt8]) throws(Foreign) -> Int {
        guard mark.starts(with: bytes.prefix(mark.count)) else { throw Foreign() }
        guard bytes.count >= headerBytes else { return headerBytes }
        let count = (0..<4).reduce(0) { $0 | Int(bytes[5 + $1]) << (8 * $1) }
        guard Kind(rawValue: bytes[4]) != nil, count <= limit else { throw Foreign() }
        return headerBytes + count
    }

    /// The message of `bytes`, which are complete.
    init?(_ bytes: [UInt8]) {
        guard bytes.count >= Self.headerBytes, let kind = Kind(rawValue: bytes[4]) else { return nil }
        self.init(kind: kind, text: String(decoding: bytes[Self.headerBytes...], as: UTF8.self))
    }

    init(kind: Kind, text: String = "") { (self.kind, self.text) = (kind, text) }
}

/// A connection by which messages come and go.
final class MessageChannel {
    let connection: Connection
    private var received: [UInt8] = []

    init(_ connection: Connection) { self.connection = connection }

    /// The next message that has come; nil when none is complete. What comes behind it, tensors maybe, is left where it is.
    /// - Throws: `Connection.Broken`, `Message.Foreign`.
    func next() throws -> Message? {
        while true {
            let missing = try Message.count(received) - received.count
            if missing == 0 {
                defer { received = [] }
                return Message(received)
            }
            var part = [UInt8](repeating: 0, count: missing)
            let count = try part.withUnsafeMutableBytes { try connection.receive(some: $0) }
            guard count > 0 else { return nil }
            received += part.prefix(count)
        }
    }

    /// Waits for the next message.
    /// - Throws: `Connection.Broken`, also at the deadline.
    func next(until deadline: Deadline) throws -> Message {
        while true {
            if let message = try next() { return message }
            if deadline.isPast { throw Connection.Broken(reason: "nothing came") }
            var entry = pollfd(fd: connection.descriptor.number, events: Int16(POLLIN), revents: 0)
            poll(&entry, 1, deadline.milliseconds())
        }
    }

    /// Sends `message` whole.
    /// - Throws: `Connection.Broken`, also at the deadline.
    func send(_ message: Message, until deadline: Deadline = Deadline(seconds: 5)) throws {
        try message.bytes.withUnsafeBytes { bytes in
            var done = 0
            while done < bytes.count {
                done += try connection.send(some: UnsafeRawBufferPointer(rebasing: bytes[done...]))
                guard done < bytes.count else { break }
                if deadline.isPast { throw Connection.Broken(reason: "nothing is taken") }
                var entry = pollfd(fd: connection.descriptor.number, events: Int16(POLLOUT), revents: 0)
                poll(&entry, 1, deadline.milliseconds())
            }
        }
    }
}
