/// A device and those of other processes, one of each, that add up and hand out tensors among themselves without the host. All
/// ranks ask for the same, with tensors of the same sizes, in the same order. The work is done beside the device's own, also
/// where that is recorded, and begins when what was given to the device before is done.
package protocol DeviceGroup: AnyObject, Sendable {
    /// Sums over the ranks, each in the memory of its tensor: float32.
    func sum(_ tensors: [Tensor]) throws
    /// Writes this rank's part of the sum of all ranks' tensor, for each of `tensors`, into the memory of `parts`: float32.
    func reduceScatter(_ tensors: [Tensor], into parts: [Tensor]) throws
    /// Writes the parts of all ranks, one behind another, into the memory of `tensors`, where this rank's may stand already; of any
    /// plain types.
    func allGather(_ parts: [Tensor], into tensors: [Tensor]) throws
    /// The elements of rank `root`, in the memory of `tensor`.
    func broadcast(_ tensor: Tensor, from root: Int) throws
    /// What is given to the device from now on waits for what was asked for.
    func join() throws
    /// Throws what has gone wrong since.
    func check() throws
    /// Ends what is under way, from any thread; the group is of no use then.
    func leave()
}

extension Device {
    /// What rank 0 hands to the others, so that their devices find each other.
    /// - Throws: ``TensorError/device(_:)`` where ``DeviceTraits/joinsGroups`` is false, or what it takes is not installed.
    package func groupIdentifier() throws -> [UInt8] { try runtime.groupIdentifier() }

    /// Joins the group of `identifier`, and waits for all ranks.
    /// - Parameter seconds: to wait at most.
    package func joinGroup(
        _ identifier: [UInt8], rank: Int, ranks: Int, seconds: Double
    ) throws -> any DeviceGroup {
        try runtime.joinGroup(identifier, rank: rank, ranks: ranks, seconds: seconds)
    }
}

extension DeviceRuntime {
    func groupIdentifier() throws -> [UInt8] { throw TensorError.device("\(place) joins no group") }

    func joinGroup(_ identifier: [UInt8], rank: Int, ranks: Int, seconds: Double) throws -> any DeviceGroup {
        throw TensorError.device("\(place) joins no group")
    }
}
