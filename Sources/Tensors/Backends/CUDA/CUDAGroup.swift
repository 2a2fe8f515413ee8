import CCUDA

/// GPUs of several processes, joined by NCCL.
final class CUDAGroup: DeviceGroup, @unchecked Sendable {
    // Unchecked: work is given by one thread at a time; leaving is for any.
    private let functions: UnsafePointer<moult_cuda_collectives>
    private let group: OpaquePointer
    private let backend: CUDABackend
    /// What the group reads and writes until it is waited for.
    private var held: [Tensor] = []

    init(_ functions: UnsafePointer<moult_cuda_collectives>, _ group: OpaquePointer, _ backend: CUDABackend) {
        (self.functions, self.group, self.backend) = (functions, group, backend)
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

    func reduceScatter(_ tensor: Tensor, ranks: Int) throws -> Tensor {
        let part = try backend.empty([tensor.count / ranks], .float32)
        held += [tensor, part]
        try check(functions.pointee.reduce_scatter(group, tensor.deviceAddress, part.deviceAddress, part.count))
        return part
    }

    func allGather(_ part: Tensor, ranks: Int) throws -> Tensor {
        let all = try backend.empty([part.count * ranks], part.dtype)
        held += [part, all]
        try check(functions.pointee.all_gather(group, part.deviceAddress, all.deviceAddress, part.byteCount))
        return all
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
        return CUDAGroup(functions, group, self)
    }
}
