import Foundation

/// A file mapped read-only into memory.
///
/// Like every program that maps files, this one is ended by the system (SIGBUS) if the file shrinks while it is read;
/// replace model files by renaming, as ``SafetensorsWriter`` does, and never in place.
package final class MappedFile: @unchecked Sendable {
    package let path: String
    package let bytes: UnsafeRawBufferPointer
    private let isMapped: Bool

    /// Maps the file at `path`.
    /// - Throws: ``CheckpointError/unreadable(path:reason:)`` or ``CheckpointError/notAModel(path:expected:found:)``
    ///   when it is not a regular file or is empty.
    package init(path: String) throws {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw CheckpointError.unreadable(path: path, reason: String(cString: strerror(errno)))
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            throw CheckpointError.unreadable(path: path, reason: String(cString: strerror(errno)))
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw CheckpointError.notAModel(
                path: path, expected: "a file", found: status.st_mode & S_IFMT == S_IFDIR ? "a folder" : "a device")
        }
        guard status.st_size > 0 else {
            throw CheckpointError.notAModel(path: path, expected: "a file with content", found: "an empty file")
        }
        let address = mmap(nil, Int(status.st_size), PROT_READ, MAP_PRIVATE, descriptor, 0)
        guard let address, address != MAP_FAILED else {
            throw CheckpointError.unreadable(path: path, reason: String(cString: strerror(errno)))
        }
        self.path = path
        bytes = UnsafeRawBufferPointer(start: address, count: Int(status.st_size))
        isMapped = true
    }

    /// A copy of `contents` that is read as if it were the file at `path`.
    init(contents: [UInt8], path: String) {
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: contents.count, alignment: 64)
        copy.copyBytes(from: contents)
        self.path = path
        bytes = UnsafeRawBufferPointer(copy)
        isMapped = false
    }

    deinit {
        if isMapped {
            munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress), bytes.count)
        } else {
            bytes.deallocate()
        }
    }
}
