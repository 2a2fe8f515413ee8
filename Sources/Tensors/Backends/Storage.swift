import Foundation

/// A block of memory that tensors view: on the host, owned and 64-byte aligned or borrowed from an owner such as a mapped
/// file; or on a GPU, where it belongs to the device's allocator.
///
/// Mutation goes through ``Tensor/withMutable(_:_:)``, which copies when the storage is shared or borrowed; that
/// discipline is what makes the type safe to send.
final class Storage: @unchecked Sendable {
    /// The device whose memory it is.
    let runtime: any DeviceRuntime
    /// Host memory; empty on a GPU.
    let bytes: UnsafeMutableRawBufferPointer
    /// Keeps borrowed memory alive; nil when the storage owns its memory.
    let owner: (any Sendable)?
    /// Memory that a GPU reaches, its own or the host's; nil for other memory.
    let block: CUDABlock?
    /// What a step computes there; nil for memory.
    let captured: CapturedRows?

    /// The same bytes; nil on a GPU, and for what a step is to compute.
    var hostBytes: UnsafeMutableRawBufferPointer? { block == nil && captured == nil ? bytes : nil }

    /// Allocates `count` uninitialised bytes of the host.
    init(hostCount count: Int) throws {
        // Rounded up so that vector kernels may read a full last vector.
        let capacity = Swift.max(64, (count + 63) & ~63)
        var pointer: UnsafeMutableRawPointer?
        guard posix_memalign(&pointer, 64, capacity) == 0, let pointer else {
            throw TensorError.outOfMemory(bytes: count)
        }
        bytes = UnsafeMutableRawBufferPointer(start: pointer, count: count)
        (runtime, owner, block, captured) = (CPUBackend.shared, nil, nil, nil)
    }

    /// Borrows read-only memory of the host that `owner` keeps alive.
    init(borrowing memory: UnsafeRawBufferPointer, owner: any Sendable) {
        bytes = UnsafeMutableRawBufferPointer(mutating: memory)
        (runtime, self.owner, block, captured) = (CPUBackend.shared, owner, nil, nil)
    }

    /// Memory that a GPU reaches.
    init(_ block: CUDABlock, of runtime: any DeviceRuntime) {
        bytes = UnsafeMutableRawBufferPointer(start: nil, count: 0)
        (self.runtime, owner, self.block, captured) = (runtime, nil, block, nil)
    }

    /// What `step` computes.
    init(_ captured: CapturedRows, of step: CapturedStep) {
        bytes = UnsafeMutableRawBufferPointer(start: nil, count: 0)
        (runtime, owner, block, self.captured) = (step, nil, nil, captured)
    }

    deinit {
        if owner == nil, block == nil, captured == nil { free(bytes.baseAddress) }
    }
}
