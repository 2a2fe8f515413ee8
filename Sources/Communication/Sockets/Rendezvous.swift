import Foundation
import Support

/// How the ranks of a run find each other: rank 0 listens, the others come to it, say who they are and what they are about to
/// do, and are told where all are. Each then has a connection to every other for tensors, and one to rank 0 for news.
struct Rendezvous {
    /// Where this process stands.
    let place: RankPlace
    /// What all must be about to do, and by which version of the program.
    let run: String
    let version: String
    let limits: CommunicationLimits

    /// Connections that are ready for work.
    struct Meeting {
        var hosts: [String]
        /// By rank, this one's own being nil.
        var mesh: [Connection?]
        /// To rank 0, or on rank 0 to all others.
        var news: [Int: MessageChannel]
    }

    private struct Greeting {
        var rank: Int
        var ranks: Int
        var run: String
        var version: String
        var host: String
        var port: Int

        var text: String {
            JSONValue.object([
                "rank": .integer(rank), "ranks": .integer(ranks), "run": .string(run), "version": .string(version),
                "host": .string(host), "port": .integer(port),
            ]).text()
        }

        init(rank: Int, ranks: Int, run: String, version: String, host: String, port: Int) {
            (self.rank, self.ranks, self.run) = (rank, ranks, run)
            (self.version, self.host, self.port) = (version, host, port)
        }

        init?(_ text: String) {
            guard let json = try? JSONValue(parsing: Data(text.utf8), .strict),
                let rank = json["rank"]?.integerValue, let ranks = json["ranks"]?.integerValue,
                let port = json["port"]?.integerValue, case .string(let run)? = json["run"],
                case .string(let version)? = json["version"], case .string(let host)? = json["host"]
            else { return nil }
            self.init(rank: rank, ranks: ranks, run: run, version: version, host: host, port: port)
        }
    }

    private struct Entry {
        var host: String
        /// Empty where it is rank 0's.
        var address: String
        var port: Int

        var json: JSONValue { ["host": .string(host), "address": .string(address), "port": .integer(port)] }

        init(host: String, address: String, port: Int) {
            (self.host, self.address, self.port) = (host, address, port)
        }

        init?(_ json: JSONValue) {
            guard case .string(let host)? = json["host"], case .string(let address)? = json["address"],
                let port = json["port"]?.integerValue
            else { return nil }
            self.init(host: host, address: address, port: port)
        }
    }

    private var where0: String { "\(place.address):\(place.port)" }
    /// Whether only processes of this host may come.
    private var isLocal: Bool { ["127.0.0.1", "::1", "localhost"].contains(place.address) }

    private func failure(_ reason: String) -> CommunicationError { .meeting(place: where0, reason: reason) }

    private func listen(_ port: Int) throws -> Listener {
        do { return try Listener(isLocal ? place.address : "", port: port) } catch let broken as Connection.Broken {
            throw CommunicationError.meeting(
                place: port == 0 ? place.address : where0, reason: "cannot be listened at: \(broken.reason)")
        }
    }

    /// - Throws: ``CommunicationError``.
    func meet() throws -> Meeting {
        let deadline = Deadline(seconds: limits.meeting)
        return place.rank == 0 ? try gather(until: deadline) : try come(until: deadline)
    }

    // MARK: Rank 0

    private func gather(until deadline: Deadline) throws -> Meeting {
        let listener = try listen(place.port)
        var waiting: [(channel: MessageChannel, since: Deadline)] = []
        var come: [Int: (greeting: Greeting, channel: MessageChannel)] = [:]
        while come.count < place.ranks - 1 {
            if deadline.isPast {
                let missing = (1..<place.ranks).filter { come[$0] == nil }
                throw refuse(
                    failure(
                        "expected \(place.ranks) ranks within \(Int(limits.meeting)) s, found none of "
                            + missing.map { "rank \($0)" }.joined(separator: ", ")),
                    come.values.map(\.channel), waiting, listener)
            }
            var entry = pollfd(fd: listener.number, events: Int16(POLLIN), revents: 0)
            poll(&entry, 1, deadline.milliseconds(most: 20))
            if let connection = listener.accept() {
                waiting.append((MessageChannel(connection), Deadline(seconds: 20)))
            }
            for (number, guest) in waiting.enumerated().reversed() {
                let message: Message
                do {
                    guard let next = try guest.channel.next() else {
                        if guest.since.isPast { waiting.remove(at: number) }
                        continue
                    }
                    message = next
                } catch {
                    // Whoever else knocks at the port is sent away.
                    waiting.remove(at: number)
                    continue
                }
                waiting.remove(at: number)
                guard message.kind == .greeting, let greeting = Greeting(message.text) else { continue }
                if let fault = fault(greeting, come.mapValues(\.greeting)) {
                    throw refuse(fault, come.values.map(\.channel) + [guest.channel], waiting, listener)
                }
                come[greeting.rank] = (greeting, guest.channel)
            }
            for (rank, guest) in come where !isOpen(guest.channel) {
                throw refuse(
                    .lost(rank: rank, host: guest.greeting.host, reason: "is gone before the run began"),
                    come.values.map(\.channel), waiting, listener)
            }
        }
        let token = String(UInt64.random(in: .min ... .max), radix: 16)
        var table = [Entry(host: ProcessInfo.processInfo.hostName, address: "", port: place.port)]
        for rank in 1..<place.ranks {
            guard let guest = come[rank] else { continue }
            let address = guest.channel.connection.peerAddress ?? ""
            let isHere = address.isEmpty || address.hasPrefix("127.") || address == "::1" || address.contains(":127.")
            table.append(
                Entry(host: guest.greeting.host, address: isHere ? "" : address, port: guest.greeting.port))
        }
        let text = JSONValue.object(["token": .string(token), "ranks": .array(table.map(\.json))]).text()
        for guest in come.values { try? guest.channel.send(Message(kind: .table, text: text)) }
        let mesh = try connect(table, token: token, listener: listener, until: deadline)
        return Meeting(hosts: table.map(\.host), mesh: mesh, news: come.mapValues(\.channel))
    }

    /// Whether the other end has neither closed nor sent what is no message.
    private func isOpen(_ channel: MessageChannel) -> Bool {
        do {
            _ = try channel.next()
            return true
        } catch { return false }
    }

    /// Tells all who have come, and those who still do within a moment, why there will be no run.
    private func refuse(
        _ fault: CommunicationError, _ come: [MessageChannel],
        _ waiting: [(channel: MessageChannel, since: Deadline)], _ listener: Listener
    ) -> CommunicationError {
        let message = Message(kind: .refusal, text: fault.description)
        var told = come
        for channel in told { try? channel.send(message, until: Deadline(seconds: 1)) }
        // A connection that is closed with a greeting unread loses the answer too.
        func answer(_ channel: MessageChannel) {
            guard (try? channel.next(until: Deadline(seconds: 0.5))) != nil else { return }
            try? channel.send(message, until: Deadline(seconds: 1))
            told.append(channel)
        }
        for guest in waiting { answer(guest.channel) }
        let deadline = Deadline(seconds: 3)
        while told.count < place.ranks - 1, !deadline.isPast {
            var entry = pollfd(fd: listener.number, events: Int16(POLLIN), revents: 0)
            poll(&entry, 1, deadline.milliseconds(most: 20))
            if let connection = listener.accept() { answer(MessageChannel(connection)) }
        }
        return fault
    }

    private func fault(_ greeting: Greeting, _ known: [Int: Greeting]) -> CommunicationError? {
        func mismatch(_ what: String, _ found: String, _ expected: String) -> CommunicationError {
            .mismatch(
                rank: greeting.rank, host: greeting.host, what: what, found: found, expected: expected,
                host0: ProcessInfo.processInfo.hostName)
        }
        if greeting.version != version { return mismatch("version", greeting.version, version) }
        if greeting.ranks != place.ranks {
            return mismatch("ranks", "\(greeting.ranks)", "\(place.ranks)")
        }
        if greeting.run != run { return mismatch("another run: settings", greeting.run, run) }
        if let other = known[greeting.rank] {
            return failure("rank \(greeting.rank) has come twice, from \(other.host) and from \(greeting.host)")
        }
        guard (1..<place.ranks).contains(greeting.rank) else {
            return failure("rank \(greeting.rank) has come from \(greeting.host), which is none of \(place.ranks)")
        }
        return nil
    }

    // MARK: The others

    private func come(until deadline: Deadline) throws -> Meeting {
        let listener = try listen(0)
        let channel: MessageChannel
        do {
            channel = MessageChannel(try Connection.reach(place.address, port: place.port, until: deadline))
        } catch let broken as Connection.Broken {
            throw failure("rank 0 cannot be reached within \(Int(limits.meeting)) s: \(broken.reason)")
        }
        let greeting = Greeting(
            rank: place.rank, ranks: place.ranks, run: run, version: version, host: ProcessInfo.processInfo.hostName,
            port: listener.port)
        let answer: Message
        do {
            try channel.send(Message(kind: .greeting, text: greeting.text))
            answer = try channel.next(until: deadline)
        } catch {
            let reason = (error as? Connection.Broken)?.reason ?? "another program answers there"
            throw failure("rank 0 gave no answer: \(reason)")
        }
        if answer.kind == .refusal { throw CommunicationError.meeting(place: where0, reason: answer.text) }
        guard answer.kind == .table, let json = try? JSONValue(parsing: Data(answer.text.utf8), .strict),
            case .string(let token)? = json["token"]
        else { throw failure("rank 0 gave no answer: another program answers there") }
        let table = (json["ranks"]?.arrayValue ?? []).compactMap { Entry($0) }
        guard table.count == place.ranks else { throw failure("rank 0 gave no place for every rank") }
        let mesh = try connect(table, token: token, listener: listener, until: deadline)
        return Meeting(hosts: table.map(\.host), mesh: mesh, news: [0: channel])
    }

    /// A connection to every other rank: to those before this one, and from those behind it.
    private func connect(
        _ table: [Entry], token: String, listener: Listener, until deadline: Deadline
    ) throws -> [Connection?] {
        var mesh = [Connection?](repeating: nil, count: place.ranks)
        for rank in 0..<place.rank {
            let entry = table[rank]
            let address = entry.address.isEmpty ? place.address : entry.address
            do {
                let channel = MessageChannel(try Connection.reach(address, port: entry.port, until: deadline))
                try channel.send(Message(kind: .greeting, text: "\(token) \(place.rank)"))
                mesh[rank] = channel.connection
            } catch let broken as Connection.Broken {
                throw failure("rank \(rank) on \(entry.host) cannot be reached: \(broken.reason)")
            }
        }
        var waiting: [MessageChannel] = []
        while (place.rank + 1..<place.ranks).contains(where: { mesh[$0] == nil }) {
            if deadline.isPast {
                let missing = (place.rank + 1..<place.ranks).filter { mesh[$0] == nil }
                    .map { "rank \($0) on \(table[$0].host)" }
                throw failure("no connection from \(missing.joined(separator: ", "))")
            }
            var entry = pollfd(fd: listener.number, events: Int16(POLLIN), revents: 0)
            poll(&entry, 1, deadline.milliseconds(most: 20))
            if let connection = listener.accept() { waiting.append(MessageChannel(connection)) }
            for (number, channel) in waiting.enumerated().reversed() {
                do {
                    guard let message = try channel.next() else { continue }
                    waiting.remove(at: number)
                    let words = message.text.split(separator: " ")
                    guard message.kind == .greeting, words.count == 2, words[0] == token, let rank = Int(words[1]),
                        (place.rank + 1..<place.ranks).contains(rank)
                    else { continue }
                    mesh[rank] = channel.connection
                } catch { waiting.remove(at: number) }
            }
        }
        return mesh
    }
}

/// Where a process stands among the ranks of a run.
public struct RankPlace: Sendable, Equatable {
    /// From 0 on.
    public var rank: Int
    /// How many there are.
    public var ranks: Int
    /// A name or an address of rank 0's host.
    public var address: String
    /// The port at which rank 0 listens.
    public var port: Int

    /// A place of these values.
    public init(rank: Int, ranks: Int, address: String, port: Int) {
        (self.rank, self.ranks, self.address, self.port) = (rank, ranks, address, port)
    }
}

/// How long ranks wait for each other, in seconds.
public struct CommunicationLimits: Sendable, Equatable {
    /// For all to have come.
    public var meeting = 300.0
    /// For a sign of life, of which there is one every second, before a rank counts as lost.
    public var silence = 20.0
    /// For the others' part in an operation: as long as one rank may have to write or to measure alone.
    public var operation = 3600.0

    /// The defaults.
    public init() {}
}
