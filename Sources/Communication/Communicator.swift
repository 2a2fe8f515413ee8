import Foundation
import Tensors

/// The ranks of a run, each a process of its own, and what they do together.
///
/// Every rank calls the same operations in the same order, with tensors of the same shapes; an operation returns when the
/// calling rank's part in it is done. Sums have one order, that of the ranks on the processor and NCCL's on GPUs, so that a
/// run with as many ranks on the same machines gives the same bits every time, and every rank has the same sums.
///
/// When a rank dies, or leaves because of an error, every operation of the others throws
/// ``CommunicationError/lost(rank:host:reason:)``, which names it.
public protocol Communicator: AnyObject, Sendable {
    /// Which of the ranks this process is, from 0 on.
    var rank: Int { get }
    /// How many there are.
    var ranks: Int { get }
    /// The names of the hosts that they run on, by rank.
    var hosts: [String] { get }

    /// Gives every tensor the sum over all ranks of theirs: float32, of any shapes, on this rank's device.
    ///
    /// On a device that works aside the sums are made beside the work that is given to it meanwhile, in the tensors' own memory
    /// even where others hold it too; ``join()`` lets what comes later wait for them.
    func sum(_ tensors: inout [Tensor]) throws

    /// Gives each of `parts` (m), float32, this rank's part of the sum over all R ranks of one of `tensors` (R · m): part r begins at
    /// element r · m. What ``sum(_:)-([Tensor])`` says of devices that work aside holds here too.
    func reduceScatter(_ tensors: [Tensor], into parts: inout [Tensor]) throws

    /// Gives each of `tensors` (R · m) the parts (m) of all R ranks one behind another, of one plain type. On a device that works
    /// aside, in the tensors' own memory, in which this rank's part may stand already.
    func allGather(_ parts: [Tensor], into tensors: inout [Tensor]) throws

    /// Gives `tensor` of every rank the elements of that of rank `root`; of any plain type.
    func broadcast(_ tensor: inout Tensor, from root: Int) throws

    /// Work that is given to the device from now on begins when what was asked for before is done.
    func join() throws

    /// The sums over all ranks of numbers on the host.
    func sum(_ values: [Double]) throws -> [Double]

    /// What rank `root` has; what the others pass is not looked at.
    func broadcast(_ bytes: [UInt8], from root: Int) throws -> [UInt8]

    /// Throws what has happened to another rank.
    func check() throws

    /// Waits for all ranks, after which none misses another.
    func leave() throws

    /// Leaves at once; the others stop with `reason`.
    func leave(because reason: String)
}

extension Communicator {
    /// Waits until all ranks are here.
    public func barrier() throws { _ = try sum([] as [Double]) }

    /// What rank 0 has.
    public func broadcast(_ text: String) throws -> String {
        String(decoding: try broadcast(Array(text.utf8), from: 0), as: UTF8.self)
    }

    /// Refuses parts that do not fill their tensors.
    func requireParts(_ parts: [Tensor], of tensors: [Tensor], _ operation: String) throws {
        func text(_ tensors: [Tensor], times: Int) -> String {
            tensors.map { "\($0.count * times) \($0.dtype.rawValue)" }.joined(separator: ", ")
        }
        let (expected, found) = (text(tensors, times: 1), text(parts, times: ranks))
        guard expected != found else { return }
        throw CommunicationError.tensor(
            operation: operation, expected: "parts of \(expected)", found: "those of \(found)")
    }
}

/// A run of one process.
public final class SoloCommunicator: Communicator {
    /// The one rank.
    public let rank = 0
    /// One.
    public let ranks = 1
    /// This host.
    public let hosts = [ProcessInfo.processInfo.hostName]

    /// A run of this process alone.
    public init() {}

    public func sum(_ tensors: inout [Tensor]) {}
    public func reduceScatter(_ tensors: [Tensor], into parts: inout [Tensor]) { parts = tensors }
    public func allGather(_ parts: [Tensor], into tensors: inout [Tensor]) { tensors = parts }
    public func broadcast(_ tensor: inout Tensor, from root: Int) {}
    public func join() {}
    public func sum(_ values: [Double]) -> [Double] { values }
    public func broadcast(_ bytes: [UInt8], from root: Int) -> [UInt8] { bytes }
    public func check() {}
    public func leave() {}
    public func leave(because reason: String) {}
}
