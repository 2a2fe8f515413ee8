import Foundation
import Tensors

/// Ranks on processors that are joined by TCP. A sum is made a stretch at a time by whom the stretch belongs to, in the order
/// of the ranks, and handed out: each rank sends 2 (R - 1) / R of what is summed, as around a ring, and every element has the
/// same order of sums whichever way it is asked for.
public final class SocketCommunicator: Communicator {
    public let rank: Int
    public let ranks: Int
    public let hosts: [String]
    private let watch: PeerWatch
    private let mesh: Mesh

    /// Elements that are summed at a time: what the memory beside the tensors is for.
    private static let stretch = 1 << 22

    /// Meets the other ranks.
    /// - Parameters:
    ///   - run: what all must be about to do: a hash of the settings, say.
    ///   - version: of the program.
    /// - Throws: ``CommunicationError``, on every rank that has come, when one comes with something else or does not come.
    public init(_ place: RankPlace, run: String, version: String, limits: CommunicationLimits = .init()) throws {
        (rank, ranks) = (place.rank, place.ranks)
        let meeting = try Rendezvous(place: place, run: run, version: version, limits: limits).meet()
        hosts = meeting.hosts
        watch = PeerWatch(meeting, rank: place.rank, limits: limits)
        mesh = Mesh(meeting.mesh, hosts: meeting.hosts, watch: watch, limits: limits)
    }

    /// Calls `body` on a thread of its own as soon as another rank is lost, whatever this one is doing.
    public func whenLost(_ body: @escaping @Sendable (CommunicationError) -> Void) { watch.whenLost(body) }

    private var others: [Int] { (0..<ranks).filter { $0 != rank } }

    // MARK: Tensors

    public func sum(_ tensors: inout [Tensor]) throws {
        for tensor in tensors { try require(tensor, "sum", .float32) }
        let total = tensors.reduce(0) { $0 + $1.count }
        var buffer = [Float](repeating: 0, count: min(total, Self.stretch))
        // Where the stretch begins, and what of which tensor is in it.
        var (next, offset) = (0, 0)
        while next < tensors.count {
            var (pieces, filled): ([(tensor: Int, range: Range<Int>)], Int) = ([], 0)
            while next < tensors.count, filled < buffer.count || tensors[next].count == 0 {
                let count = min(tensors[next].count - offset, buffer.count - filled)
                pieces.append((next, offset..<offset + count))
                try tensors[next].withElements(Float.self) { values in
                    for index in 0..<count { buffer[filled + index] = values[offset + index] }
                }
                (filled, offset) = (filled + count, offset + count)
                if offset == tensors[next].count { (next, offset) = (next + 1, 0) }
            }
            try buffer.withUnsafeMutableBufferPointer { try sum(.init(rebasing: $0[..<filled])) }
            var place = 0
            for (tensor, range) in pieces where !range.isEmpty {
                try tensors[tensor].withMutable(Float.self) { values in
                    for index in range { values[index] = buffer[place + index - range.lowerBound] }
                }
                place += range.count
            }
        }
    }

    /// Sums a stretch of elements: each rank its part of them, which all then get.
    private func sum(_ values: UnsafeMutableBufferPointer<Float>) throws {
        let parts = (0..<ranks).map { values.count * $0 / ranks..<values.count * ($0 + 1) / ranks }
        try sumOwn(values, parts)
        let own = UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: values[parts[rank]]))
        try mesh.exchange(
            others.map { peer in
                Mesh.Transfer(
                    peer: peer, sends: own,
                    receives: UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(rebasing: values[parts[peer]])))
            })
    }

    /// Puts into this rank's part of `values` the sum over all ranks, in their order.
    private func sumOwn(_ values: UnsafeMutableBufferPointer<Float>, _ parts: [Range<Int>]) throws {
        let own = parts[rank]
        var received = [Float](repeating: 0, count: own.count * ranks)
        try received.withUnsafeMutableBufferPointer { received in
            func from(_ peer: Int) -> UnsafeMutableBufferPointer<Float> {
                .init(rebasing: received[peer * own.count..<(peer + 1) * own.count])
            }
            try mesh.exchange(
                others.map { peer in
                    Mesh.Transfer(
                        peer: peer,
                        sends: UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: values[parts[peer]])),
                        receives: UnsafeMutableRawBufferPointer(from(peer)))
                })
            for (index, place) in own.enumerated() { received[rank * own.count + index] = values[place] }
            for (index, place) in own.enumerated() { values[place] = received[index] }
            for peer in 1..<ranks {
                let part = from(peer)
                for (index, place) in own.enumerated() { values[place] += part[index] }
            }
        }
    }

    public func reduceScatter(_ tensors: [Tensor], into parts: inout [Tensor]) throws {
        for tensor in tensors + parts { try require(tensor, "reduceScatter", .float32) }
        try requireParts(parts, of: tensors, "reduceScatter")
        for (index, tensor) in tensors.enumerated() {
            let count = parts[index].count
            var values = try tensor.array(Float.self)
            try values.withUnsafeMutableBufferPointer { values in
                try sumOwn(values, (0..<ranks).map { $0 * count..<($0 + 1) * count })
            }
            parts[index] = try Tensor(Array(values[rank * count..<(rank + 1) * count]), shape: parts[index].shape)
        }
    }

    public func allGather(_ parts: [Tensor], into tensors: inout [Tensor]) throws {
        for tensor in parts + tensors { try require(tensor, "allGather", nil) }
        try requireParts(parts, of: tensors, "allGather")
        for (index, part) in parts.enumerated() {
            tensors[index] = try part.withUnsafeBytes { own in
                try Tensor(tensors[index].shape, part.dtype) { try gather(own, into: $0) }
            }
        }
    }

    /// The bytes of all ranks, as many of each, one behind another.
    private func gather(_ own: UnsafeRawBufferPointer, into all: UnsafeMutableRawBufferPointer) throws {
        func place(_ peer: Int) -> UnsafeMutableRawBufferPointer {
            .init(rebasing: all[peer * own.count..<(peer + 1) * own.count])
        }
        place(rank).copyMemory(from: own)
        try mesh.exchange(others.map { Mesh.Transfer(peer: $0, sends: own, receives: place($0)) })
    }

    public func broadcast(_ tensor: inout Tensor, from root: Int) throws {
        try require(tensor, "broadcast", nil)
        if rank == root {
            try tensor.withUnsafeBytes { bytes in
                try mesh.exchange(others.map { Mesh.Transfer(peer: $0, sends: bytes) })
            }
        } else {
            tensor = try Tensor(tensor.shape, tensor.dtype) {
                try mesh.exchange([Mesh.Transfer(peer: root, receives: $0)])
            }
        }
    }

    private func require(_ tensor: Tensor, _ operation: String, _ type: DType?) throws {
        guard tensor.device == .cpu else {
            throw CommunicationError.tensor(
                operation: operation, expected: "a tensor on the processor", found: "one on \(tensor.device)")
        }
        guard !tensor.dtype.isQuantised, type == nil || tensor.dtype == type else {
            throw CommunicationError.tensor(
                operation: operation, expected: type?.rawValue ?? "a type that is not quantised",
                found: tensor.dtype.rawValue)
        }
    }

    // MARK: On the host

    public func join() {}

    public func sum(_ values: [Double]) throws -> [Double] {
        // One byte at least, so that all have come.
        let own = values + [0]
        var all = [Double](repeating: 0, count: own.count * ranks)
        try all.withUnsafeMutableBytes { all in try own.withUnsafeBytes { try gather($0, into: all) } }
        return values.indices.map { index in
            (1..<ranks).reduce(all[index]) { $0 + all[$1 * own.count + index] }
        }
    }

    public func broadcast(_ bytes: [UInt8], from root: Int) throws -> [UInt8] {
        var count = [UInt64(bytes.count)]
        if rank == root {
            try count.withUnsafeBytes { count in
                try bytes.withUnsafeBytes { bytes in
                    try mesh.exchange(others.map { Mesh.Transfer(peer: $0, sends: count) })
                    try mesh.exchange(others.map { Mesh.Transfer(peer: $0, sends: bytes) })
                }
            }
            return bytes
        }
        try count.withUnsafeMutableBytes { try mesh.exchange([Mesh.Transfer(peer: root, receives: $0)]) }
        var received = [UInt8](repeating: 0, count: Int(count[0]))
        try received.withUnsafeMutableBytes { try mesh.exchange([Mesh.Transfer(peer: root, receives: $0)]) }
        return received
    }

    public func check() throws { if let failure = watch.failure { throw failure } }

    public func leave() throws {
        _ = try sum([] as [Double])
        watch.end(Message(kind: .farewell))
    }

    public func leave(because reason: String) {
        watch.end(Message(kind: .failure, text: CommunicationError.stopped + reason))
    }
}
