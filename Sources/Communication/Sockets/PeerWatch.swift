import Foundation
import Support
import Synchronization

/// Hears whether the other ranks are alive, on a thread of its own: every rank gives rank 0 a sign of life every second and gets
/// one from it. Whoever is silent for too long, or whose connection ends without a farewell, is lost, and rank 0 tells all.
final class PeerWatch: @unchecked Sendable {
    // Unchecked: the channels are used by the thread alone once it runs, but for sending under the lock.
    private struct State {
        var failure: CommunicationError?
        /// What this rank ends with, to be told before the thread ends.
        var last: Message?
        var isEnded = false
        var whenLost: [@Sendable (CommunicationError) -> Void] = []
    }

    private let state = Mutex(State())
    private let hosts: [String]
    private let silence: Double
    private var channels: [Int: MessageChannel]
    private var heard: [Int: ContinuousClock.Instant] = [:]
    private let isHub: Bool

    init(_ meeting: Rendezvous.Meeting, rank: Int, limits: CommunicationLimits) {
        (hosts, silence, channels) = (meeting.hosts, limits.silence, meeting.news)
        isHub = rank == 0
        for peer in channels.keys { heard[peer] = .now }
        let thread = Thread { [self] in run() }
        thread.name = "ranks"
        thread.start()
    }

    /// What has happened to another rank.
    var failure: CommunicationError? { state.withLock { $0.failure } }

    /// Calls `body` on the thread when a rank is lost, or at once when one is.
    func whenLost(_ body: @escaping @Sendable (CommunicationError) -> Void) {
        let known = state.withLock { state in
            state.whenLost.append(body)
            return state.failure
        }
        if let known { body(known) }
    }

    /// Says that this rank ends, and waits a moment for the others to say so too.
    func end(_ message: Message) {
        state.withLock { $0.last = $0.last ?? message }
        let deadline = Deadline(seconds: message.kind == .farewell ? 10 : 1)
        while !state.withLock({ $0.isEnded }), !deadline.isPast { usleep(1000) }
    }

    // MARK: The thread

    private func run() {
        var (beat, isLeaving) = (ContinuousClock.now - .seconds(1), false)
        var end: Deadline?
        while !channels.isEmpty {
            let peers = Array(channels)
            var entries = peers.map {
                pollfd(fd: $1.connection.descriptor.number, events: Int16(POLLIN), revents: 0)
            }
            poll(&entries, nfds_t(entries.count), 50)
            for (peer, channel) in peers { listen(peer, channel, isLeaving: isLeaving) }
            if !isLeaving, let last = state.withLock({ $0.last }) {
                isLeaving = true
                tell(last)
                // What was sent must arrive before the connection ends: the others close it.
                end = Deadline(seconds: last.kind == .farewell ? 10 : 0.5)
            }
            if let end, end.isPast { break }
            if !isLeaving, ContinuousClock.now - beat >= .seconds(1) {
                beat = .now
                tell(Message(kind: .heartbeat))
            }
        }
        channels = [:]
        state.withLock { $0.isEnded = true }
    }

    private func tell(_ message: Message) {
        for channel in channels.values { try? channel.send(message, until: Deadline(seconds: 1)) }
    }

    private func listen(_ peer: Int, _ channel: MessageChannel, isLeaving: Bool) {
        do {
            while let message = try channel.next() {
                heard[peer] = .now
                switch message.kind {
                case .farewell:
                    channels[peer] = nil
                    return
                case .failure:
                    lose(peer, message.text)
                    return
                case .lost: take(message.text)
                default: break
                }
            }
            let last = heard[peer] ?? .now
            if !isLeaving, ContinuousClock.now - last > .seconds(silence) {
                lose(peer, "has not been heard of for \(Int(silence)) s")
            }
        } catch {
            if isLeaving { channels[peer] = nil } else { lose(peer, "has died: its connection is closed") }
        }
    }

    /// What rank 0 says of another.
    private func take(_ text: String) {
        guard let json = try? JSONValue(parsing: Data(text.utf8), .strict),
            let rank = json["rank"]?.integerValue, hosts.indices.contains(rank),
            case .string(let reason)? = json["reason"]
        else { return }
        fail(.lost(rank: rank, host: hosts[rank], reason: reason))
    }

    private func lose(_ peer: Int, _ reason: String) {
        channels[peer] = nil
        if isHub {
            let text = JSONValue.object(["rank": .integer(peer), "reason": .string(reason)]).text()
            tell(Message(kind: .lost, text: text))
        }
        fail(.lost(rank: peer, host: hosts[peer], reason: reason))
    }

    private func fail(_ error: CommunicationError) {
        let told = state.withLock { state -> [@Sendable (CommunicationError) -> Void] in
            guard state.failure == nil else { return [] }
            state.failure = error
            return state.whenLost
        }
        for tell in told { tell(error) }
    }
}
