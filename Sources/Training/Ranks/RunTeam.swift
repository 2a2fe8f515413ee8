import Communication
import Tensors

/// The processes that work on a run together, and who of them writes. Each has the whole model and reads its share of every
/// step's rows; what they make of them is added up, so that all are at every moment in the same state.
public struct RunTeam: Sendable {
    let communicator: any Communicator

    /// - Parameter communicator: the ranks; alone unless given.
    public init(_ communicator: any Communicator = SoloCommunicator()) { self.communicator = communicator }

    var rank: Int { communicator.rank }
    var ranks: Int { communicator.ranks }
    var isAlone: Bool { ranks == 1 }
    /// Whether this process writes the run's files and says what happens.
    public var writes: Bool { rank == 0 }

    /// Runs `body` where files are written.
    func writing(_ body: () throws -> Void) rethrows { if writes { try body() } }

    /// What `body` gives, run where files are written first and then by the others, who find what it has left.
    func afterWriter<Result>(_ body: () throws -> Result) throws -> Result {
        if !writes { try communicator.barrier() }
        let result = try body()
        if writes { try communicator.barrier() }
        return result
    }

    /// The word of the process that writes, made by `body`.
    func word(_ body: () throws -> String) throws -> String {
        let own = try writes ? body() : ""
        return isAlone ? own : try communicator.broadcast(own)
    }

    /// Whether any of the processes says yes.
    func any(_ own: Bool) throws -> Bool { isAlone ? own : try communicator.sum([own ? 1 : 0])[0] > 0 }

    /// Sums over all.
    func sum(_ values: [Double]) throws -> [Double] { isAlone ? values : try communicator.sum(values) }

    /// Rank 0's number.
    func first(_ own: Double) throws -> Double { try sum([rank == 0 ? own : 0])[0] }

    /// This process's share of what all do together.
    func some<Element>(of all: [Element]) -> [Element] {
        all.enumerated().filter { $0.offset % ranks == rank }.map(\.element)
    }

    /// Refuses to go on unless all have the same `text`.
    /// - Parameter what: it is.
    func requireSame(_ what: String, _ text: String) throws {
        guard !isAlone else { return }
        let expected = try word { text }
        let others = try sum((0..<ranks).map { $0 == rank && text != expected ? 1 : 0 })
        guard let other = others.firstIndex(where: { $0 > 0 }) else { return }
        throw CommunicationError.mismatch(
            rank: other, host: communicator.hosts[other], what: what, found: "of its own", expected: "others",
            host0: communicator.hosts[0])
    }

    /// The tensor on the host that `rank` has; others pass one of its shape and type.
    func tensor(_ own: Tensor, of rank: Int) throws -> Tensor {
        guard !isAlone else { return own }
        let bytes = try own.withUnsafeBytes { Array($0) }
        let found = try communicator.broadcast(bytes, from: rank)
        return try Tensor(own.shape, own.dtype) { $0.copyBytes(from: found) }
    }

    // MARK: On the device

    /// The elements of a parameter of which this process keeps what the optimiser needs: of a matrix that all can share equally, in
    /// parts that begin where a GPU may read several elements at once. Nil for all.
    func part(of shape: [Int]) -> Range<Int>? {
        Self.partCount(of: shape, ranks: ranks).map { rank * $0..<(rank + 1) * $0 }
    }

    /// The elements of such a part.
    static func partCount(of shape: [Int], ranks: Int) -> Int? {
        let count = shape.reduce(1, *)
        return ranks > 1 && shape.count > 1 && count % (8 * ranks) == 0 ? count / ranks : nil
    }

    /// The least of all ranks' numbers.
    func least(_ own: Int) throws -> Int {
        let all = try sum((0..<ranks).map { $0 == rank ? Double(own) : 0 })
        return all.min().map { Int($0) } ?? own
    }

    /// The whole of what each process has a part of.
    func gather(_ part: Tensor, shape: [Int], on device: Device) throws -> Tensor {
        var all = [try Tensor.empty(shape, part.dtype, on: device)]
        try communicator.allGather([part], into: &all)
        try communicator.join()
        return all[0]
    }

    /// A loss that is finite only where those of all are; nil for nil.
    func united(_ loss: Tensor?) throws -> Tensor? {
        guard !isAlone, let loss else { return loss }
        // A tensor of its own.
        return try sum(inPlace: loss.sum())
    }

    /// The sum of a tensor that nobody else holds over all: float32.
    func sum(inPlace tensor: Tensor) throws -> Tensor {
        var sum = [tensor]
        try communicator.sum(&sum)
        try communicator.join()
        return sum[0]
    }

    /// This process's share of Σ x² over all of them, a float32 scalar.
    func powerShare(of x: Tensor) throws -> Tensor {
        let power = try Tensor.pointwiseSums([x.detached], as: .float32) { .squared($0[0]) }
        let own = try power.sum().converted(to: .float32)
        let all = try sum(inPlace: power.sum().converted(to: .float32))
        return try Tensor.pointwise(own, all, as: .float32) { own, all in own / all }
    }
}
