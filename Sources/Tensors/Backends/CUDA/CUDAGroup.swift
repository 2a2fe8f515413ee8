import CCUDA

/// GPUs of several processes, joined by NCCL.
final class CUDAGroup: DeviceGroup, @unchecked Sendable {
    // Unchecked: work is given by one thread at a time; leaving is for any.
    private let functions: UnsafePointer<moult_cuda_collectives>
    private let group: OpaquePointer
    /// What the group reads and writes until it is waited for.
    private var held: [Tensor] = []

    init(_ functions: UnsafePointer<moult_cuda_collectives>, _ group: OpaquePointer) {
        (self.functions, self.group) = (functions, group)
    }

    private func check(_ result: Int32) throws {
        guard result != 0 else { return }
        throw TensorError.ofLibrary(functions.pointee.error())
    }

    func sum(_ tensors: [Tensor]) throws {
        held += tensors
        let some = tensors.filter { $0.count > 0 }
        guard !some.isEmpty else { return }
        try check(functions.pointee.sum(group, some.map(\.deviceAddress), some.map(\.count), some.count))
    }

    func reduceScatter(_ tensors: [Tensor], into parts: [Tensor]) throws {
        guard !tensors.isEmpty else { return }
        held += tensors + parts
        try check(
            functions.pointee.reduce_scatter(
                group, tensors.map(\.deviceAddress), parts.map(\.deviceAddress), parts.map(\.count), parts.count))
    }

    func allGather(_ parts: [Tensor], into tensors: [Tensor]) throws {
        guard !tensors.isEmpty else { return }
        held += tensors + parts
        try check(
            functions.pointee.all_gather(
                group, parts.map(\.deviceAddress), tensors.map(\.deviceAddress), parts.map(\.byteCount), parts.count))
    }

    func broadcast(_ tensor: Tensor, from root: Int) throws {
        held.append(tensor)
        try check(functions.pointee.broadcast(group, tensor.deviceAddress, tensor.byteCount, Int32(root)))
    }

    func join() throws {
        try check(functions.pointee.wait(group))
        held = []
    }

    func check() throws { try check(functions.pointee.check(group)) }

    func leave() { functions.pointee.leave(group) }
}

extension CUDABackend {
    func groupIdentifier() throws -> [UInt8] { try CUDACards.groupIdentifier() }

    func joinGroup(_ identifier: [UInt8], rank: Int, ranks: Int, seconds: Double) throws -> any DeviceGroup {
        let functions = CUDACards.collectives
        let group = try device.join(functions, identifier, rank: rank, ranks: ranks, seconds: seconds)
        return CUDAGroup(functions, group)
    }
}
