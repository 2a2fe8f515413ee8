import Tensors

/// Ranks with a GPU each: tensors go from GPU to GPU by NCCL, beside the work of a training step and recorded with it; what is
/// on the host goes by sockets, over which the ranks have met.
public final class DeviceCommunicator: Communicator {
    public var rank: Int { host.rank }
    public var ranks: Int { host.ranks }
    public var hosts: [String] { host.hosts }
    private let host: SocketCommunicator
    private let group: any DeviceGroup
    private let device: Device

    /// Seconds in which all GPUs must have found each other.
    private static let joining = 120.0

    /// Brings the devices of all ranks together.
    /// - Parameter host: the ranks, which have met.
    /// - Throws: `TensorError.device` when NCCL is missing or finds no way between the GPUs.
    public init(_ host: SocketCommunicator, device: Device) throws {
        (self.host, self.device) = (host, device)
        let identifier = try host.broadcast(host.rank == 0 ? device.groupIdentifier() : [], from: 0)
        let group = try device.joinGroup(
            identifier, rank: host.rank, ranks: host.ranks, seconds: Self.joining)
        self.group = group
        // What waits for a GPU that is gone would wait for ever.
        host.whenLost { _ in group.leave() }
    }

    public func sum(_ tensors: inout [Tensor]) throws {
        for tensor in tensors { try require(tensor, "sum", .float32) }
        try group.sum(tensors)
    }

    public func reduceScatter(_ tensors: [Tensor], into parts: inout [Tensor]) throws {
        for tensor in tensors + parts { try require(tensor, "reduceScatter", .float32) }
        try requireParts(parts, of: tensors, "reduceScatter")
        try group.reduceScatter(tensors, into: parts)
    }

    public func allGather(_ parts: [Tensor], into tensors: inout [Tensor]) throws {
        for tensor in parts + tensors { try require(tensor, "allGather", nil) }
        try requireParts(parts, of: tensors, "allGather")
        try group.allGather(parts, into: tensors)
    }

    public func broadcast(_ tensor: inout Tensor, from root: Int) throws {
        try require(tensor, "broadcast", nil)
        try group.broadcast(tensor, from: root)
    }

    private func require(_ tensor: Tensor, _ operation: String, _ type: DType?) throws {
        guard tensor.device == device, type == nil || tensor.dtype == type else {
            throw CommunicationError.tensor(
                operation: operation, expected: "\(type.map { "\($0.rawValue) " } ?? "")on \(device)",
                found: "\(tensor.dtype.rawValue) on \(tensor.device)")
        }
    }

    public func join() throws { try group.join() }
    public func sum(_ values: [Double]) throws -> [Double] { try host.sum(values) }
    public func broadcast(_ bytes: [UInt8], from root: Int) throws -> [UInt8] { try host.broadcast(bytes, from: root) }

    public func check() throws {
        try host.check()
        try group.check()
    }

    public func leave() throws { try host.leave() }
    public func leave(because reason: String) { host.leave(because: reason) }
}
