import Communication
import Foundation
import Tensors
import Testing

@Suite("Ranks joined by sockets", .serialized)
struct SocketTests {
    @Test("sum tensors in the order of the ranks, the same to the bit on all", arguments: [1, 2, 3, 4])
    func sums(_ ranks: Int) throws {
        // Beyond a stretch, of no round sizes, an empty one among them.
        let counts = [1, 0, 7, 4_200_001, 3]
        @Sendable func values(_ rank: Int) -> [[Float]] { counts.map { numbers($0, seed: rank * 100 + $0) } }
        let found = try Ranks(ranks).values { communicator in
            var tensors = try zip(values(communicator.rank), counts).map { try Tensor($0, shape: [$1]) }
            try communicator.sum(&tensors)
            try communicator.leave()
            return try tensors.map { try $0.array() }
        }
        let expected = (1..<ranks).reduce(values(0)) { zip($0, values($1)).map { zip($0, $1).map(+) } }
        for rank in 0..<ranks { #expect(found[rank] == expected, "rank \(rank)") }
    }

    @Test("scatter sums, gather parts, and hand out what one of them has", arguments: [1, 2, 3, 4])
    func others(_ ranks: Int) throws {
        let count = 5 * ranks
        let found = try Ranks(ranks).values { communicator in
            let rank = communicator.rank
            var part = [try Tensor.zeros([5])]
            try communicator.reduceScatter([Tensor(numbers(count, seed: rank), shape: [count])], into: &part)
            var sum = [try Tensor(numbers(count, seed: rank), shape: [count])]
            try communicator.sum(&sum)
            var gathered = [try Tensor.zeros([5, ranks])]
            try communicator.allGather(part, into: &gathered)
            var word = try Tensor([Int32(rank), 7], shape: [2])
            try communicator.broadcast(&word, from: ranks - 1)
            let text = try communicator.broadcast(Array("from \(rank)".utf8), from: 0)
            let empty = try communicator.broadcast([], from: ranks - 1)
            let doubles = try communicator.sum([Double(rank), 0.5])
            try communicator.barrier()
            try communicator.leave()
            #expect(communicator.hosts.count == ranks)
            return (
                try gathered[0].array() == sum[0].array() && gathered[0].shape == [5, ranks], part[0].shape,
                try word.array(Int32.self),
                String(decoding: text, as: UTF8.self) + "\(empty.count)", doubles
            )
        }
        for (gathers, shape, word, text, doubles) in found {
            #expect(gathers && shape == [5] && word == [Int32(ranks - 1), 7] && text == "from 00")
            #expect(doubles == [Double(ranks * (ranks - 1) / 2), 0.5 * Double(ranks)])
        }
    }

    @Test("refuse tensors that they cannot add up")
    func tensors() throws {
        for text in try Ranks(2).values({ communicator in
            var wrong = [try Tensor([1, 2] as [Int32], shape: [2])]
            let error = #expect(throws: CommunicationError.self) { try communicator.sum(&wrong) }
            let odd = #expect(throws: CommunicationError.self) {
                var part = [try Tensor.zeros([1])]
                try communicator.reduceScatter([Tensor([1, 2, 3] as [Float], shape: [3])], into: &part)
            }
            let short = #expect(throws: CommunicationError.self) {
                var all = [try Tensor.zeros([3])]
                try communicator.allGather([Tensor([1] as [Float], shape: [1])], into: &all)
            }
            try communicator.leave()
            return [error, odd, short].map { $0.map { "\($0)" } ?? "" }.joined(separator: "; ")
        }) {
            #expect(
                text == "sum: expected float32, found int32; "
                    + "reduceScatter: expected parts of 3 float32, found those of 2 float32; "
                    + "allGather: expected parts of 3 float32, found those of 2 float32")
        }
    }

    private func texts<Value>(_ results: [Result<Value, any Error>]) -> [String] {
        results.map { if case .failure(let error) = $0 { "\(error)" } else { "" } }
    }

    @Test("refuse one that comes with something else, on all ranks, by its name")
    func mismatches() throws {
        let host = ProcessInfo.processInfo.hostName
        for (what, change) in [
            ("version 2, rank 0 on", { $0.version = { $0 == 2 ? "2" : "1" } }),
            ("another run: settings b, rank 0 on", { $0.run = { $0 == 2 ? "b" : "a" } }),
            ("ranks 5, rank 0 on", { $0.believed = { $0 == 2 ? 5 : 3 } }),
        ] as [(String, (inout Ranks) -> Void)] {
            var ranks = Ranks(3)
            change(&ranks)
            ranks.limits.meeting = 20
            for text in try texts(ranks.map { _ in }) {
                #expect(text.contains("rank 2 on \(host) has \(what)"), "\(text)")
                #expect(!text.contains("\n"))
            }
        }
    }

    @Test("say who did not come, and send others away that knock")
    func missing() throws {
        let place = try Launch.here(3)[0].place
        var limits = CommunicationLimits()
        limits.meeting = 1.5
        // A program that speaks another language.
        let stranger = Thread {
            guard let input = fopen("/dev/null", "r") else { return }
            defer { fclose(input) }
            for _ in 0..<3 {
                usleep(200_000)
                let number = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
                var address = sockaddr_in()
                (address.sin_family, address.sin_port) = (sa_family_t(AF_INET), in_port_t(UInt16(place.port).bigEndian))
                address.sin_addr.s_addr = inet_addr("127.0.0.1")
                _ = withUnsafePointer(to: &address) {
                    $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                        connect(number, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                    }
                }
                _ = "GET / HTTP/1.1\r\n\r\n".withCString { send(number, $0, 18, Int32(MSG_NOSIGNAL)) }
                close(number)
            }
        }
        stranger.start()
        let error = #expect(throws: CommunicationError.self) {
            try SocketCommunicator(place, run: "", version: "1", limits: limits)
        }
        #expect(
            error.map { "\($0)" }
                == "127.0.0.1:\(place.port): expected 3 ranks within 1 s, found none of rank 1, rank 2")
        let alone = RankPlace(rank: 1, ranks: 3, address: "127.0.0.1", port: place.port)
        let late = #expect(throws: CommunicationError.self) {
            try SocketCommunicator(alone, run: "", version: "1", limits: limits)
        }
        #expect(
            late.map { "\($0)" }
                == "127.0.0.1:\(place.port): rank 0 cannot be reached within 1 s: Connection refused")
    }

    @Test("stop when one does, each with its reason", arguments: [0, 1, 2])
    func failure(_ culprit: Int) throws {
        let start = ContinuousClock.now
        let results = try Ranks(3).map { communicator in
            if communicator.rank == culprit {
                communicator.leave(because: "the disk is full")
                return
            }
            // The others wait for it in an operation.
            var tensors = [try Tensor(numbers(100_000, seed: 1), shape: [100_000])]
            while true { try communicator.sum(&tensors) }
        }
        let host = ProcessInfo.processInfo.hostName
        for (rank, text) in texts(results).enumerated() where rank != culprit {
            #expect(text == "rank \(culprit) on \(host) has stopped: the disk is full")
        }
        #expect(start.duration(to: .now) < .seconds(15))
    }

    @Test("miss one of which nothing is heard")
    func silence() throws {
        var ranks = Ranks(3)
        ranks.limits.operation = 2
        let results = try ranks.map { communicator in
            // It is alive, but never comes.
            if communicator.rank == 1 { sleep(6) } else { try communicator.barrier() }
        }
        #expect(texts(results)[0] == "nothing came from rank 1 for 2 s")
    }
}
