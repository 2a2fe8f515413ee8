import Foundation

/// A block of memory that tensors view: owned and 64-byte aligned, or borrowed from an owner such as a mapped file.
///
/// Mutation goes through ``Tensor/withMutable(_:_:)``, which copies when the storage is shared or borrowed; that
/// discipline is what makes the type safe to send.
final class Storage: @unchecked Sendable {
    let bytes: UnsafeMutableRawBufferPointer
    /// Keeps borrowed memory alive; nil when the storage owns its memory.
    let owner: (any Sendable)?

    /// Allocates `count` uninitialised bytes.
    init(count: Int) throws {
        // Rounded up so that vector kernels may read a full last vector.
        let capacity = Swift.max(64, (count + 63) & ~63)
        var pointer: UnsafeMutableRawPointer?
        guard posix_memalign(&pointer, 64, capacity) == 0, let pointer else {
            throw TensorError.outOfMemory(bytes: count)
        }
        bytes = UnsafeMutableRawBufferPointer(start: pointer, count: count)
        owner = nil
    }

    /// Borrows read-only memory that `owner` keeps alive.
    init(borrowing memory: UnsafeRawBufferPointer, owner: any Sendable) {
        bytes = UnsafeMutableRawBufferPointer(mutating: memory)
        self.owner = owner
    }

    deinit {
        if owner == nil { free(bytes.baseAddress) }
    }
}
