import Communication
import Foundation
import Tensors
import TestSupport

/// Ranks as threads of this process, each with a communicator of its own over loopback.
struct Ranks {
    let count: Int
    var limits = CommunicationLimits()
    var run: (Int) -> String = { _ in "run" }
    var version: (Int) -> String = { _ in "1" }
    /// How many each believes there are.
    var believed: ((Int) -> Int)?

    init(_ count: Int) { self.count = count }

    /// What `body` gives on every rank, or throws.
    func map<Value: Sendable>(
        _ body: @escaping @Sendable (SocketCommunicator) throws -> Value
    ) throws -> [Result<Value, any Error>] {
        let port = try Launch.here(count)[0].place.port
        let ranks = (0..<count).map { rank in
            let ranks = believed?(rank) ?? count
            return (
                place: RankPlace(rank: rank, ranks: ranks, address: "127.0.0.1", port: port), run: run(rank),
                version: version(rank)
            )
        }
        return onThreads(ranks) { [limits] in
            try body(SocketCommunicator($0.place, run: $0.run, version: $0.version, limits: limits))
        }
    }

    /// The same where none may throw.
    func values<Value: Sendable>(_ body: @escaping @Sendable (SocketCommunicator) throws -> Value) throws -> [Value] {
        try map(body).map { try $0.get() }
    }
}

/// Numbers of every size, the same for the same seed.
func numbers(_ count: Int, seed: Int) -> [Float] {
    var state = UInt64(seed + 1) &* 0x9E37_79B9_7F4A_7C15
    return (0..<count).map { _ in
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return (Float(state >> 40) / Float(1 << 23) - 1) * exp2(Float(state & 15))
    }
}
