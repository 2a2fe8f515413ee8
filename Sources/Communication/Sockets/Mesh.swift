import Foundation

/// The connections among all ranks: bytes go to some and come from some at the same time, so that nobody waits for whom waits.
final class Mesh: Sendable {
    /// What goes to a rank, and what comes from it.
    struct Transfer {
        let peer: Int
        var sends = UnsafeRawBufferPointer(start: nil, count: 0)
        var receives = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    }

    private let connections: [Connection?]
    private let hosts: [String]
    private let watch: PeerWatch
    private let limits: CommunicationLimits

    init(_ connections: [Connection?], hosts: [String], watch: PeerWatch, limits: CommunicationLimits) {
        (self.connections, self.hosts, self.watch, self.limits) = (connections, hosts, watch, limits)
    }

    /// - Throws: ``CommunicationError``.
    func exchange(_ transfers: [Transfer]) throws {
        var left = transfers.compactMap { transfer in
            connections[transfer.peer].map { (transfer: transfer, connection: $0, sent: 0, received: 0) }
        }
        var deadline = Deadline(seconds: limits.operation)
        while true {
            left.removeAll { $0.sent == $0.transfer.sends.count && $0.received == $0.transfer.receives.count }
            guard !left.isEmpty else { return }
            if let failure = watch.failure { throw failure }
            if deadline.isPast {
                throw CommunicationError.late(ranks: left.map(\.transfer.peer), seconds: Int(limits.operation))
            }
            var entries = left.map { item in
                var events: Int16 = 0
                if item.sent < item.transfer.sends.count { events |= Int16(POLLOUT) }
                if item.received < item.transfer.receives.count { events |= Int16(POLLIN) }
                return pollfd(fd: item.connection.descriptor.number, events: events, revents: 0)
            }
            poll(&entries, nfds_t(entries.count), deadline.milliseconds())
            for index in left.indices where entries[index].revents != 0 {
                let (transfer, connection) = (left[index].transfer, left[index].connection)
                do {
                    let sent = try connection.send(some: .init(rebasing: transfer.sends[left[index].sent...]))
                    let came = try connection.receive(some: .init(rebasing: transfer.receives[left[index].received...]))
                    left[index].sent += sent
                    left[index].received += came
                    if sent + came > 0 { deadline = Deadline(seconds: limits.operation) }
                } catch { throw lost(transfer.peer) }
            }
        }
    }

    /// Who was lost first is what the news say: a connection may end because its rank has stopped for the sake of another.
    private func lost(_ peer: Int) -> CommunicationError {
        let deadline = Deadline(seconds: 5)
        while !deadline.isPast {
            if let failure = watch.failure { return failure }
            usleep(10_000)
        }
        return .lost(rank: peer, host: hosts[peer], reason: "has died: its connection is closed")
    }
}
