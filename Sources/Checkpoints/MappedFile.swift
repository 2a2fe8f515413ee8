import CSupport
import Foundation
import Support

/// A file mapped read-only into memory.
///
/// If the file shrinks while it is read, the program ends with a line that says so (`CSupport.h`): replace model files by
/// renaming, as ``SafetensorsWriter`` does, and never in place. What must not fail is read with `RegularFile` instead.
package final class MappedFile: @unchecked Sendable {
    package let path: String
    package let bytes: UnsafeRawBufferPointer
    private let isMapped: Bool
    /// The entry in the list of mappings.
    private let entry: UnsafeMutableRawPointer?

    /// Maps the file at `path`.
    /// - Throws: ``CheckpointError/unreadable(path:reason:)`` or ``CheckpointError/notAModel(path:expected:found:)``
    ///   when it is not a regular file or is empty.
    package init(path: String) throws {
        // A pipe would wait for somebody who writes.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
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
                path: path, expected: "a file", found: RegularFile.kind(status.st_mode))
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
        entry = moult_mapping_add(address, bytes.count, path)
    }

    /// The contents of the file at `path` in memory of their own, where the end of the program is no answer to a file
    /// that shrinks.
    package convenience init(reading path: String) throws(RegularFile.Fault) {
        self.init(contents: try RegularFile.contents(path), path: path)
    }

    /// A copy of `contents` that is read as if it were the file at `path`.
    init(contents: some Collection<UInt8>, path: String) {
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: contents.count, alignment: 64)
        copy.copyBytes(from: contents)
        self.path = path
        bytes = UnsafeRawBufferPointer(copy)
        isMapped = false
        entry = nil
    }

    deinit {
        if isMapped {
            moult_mapping_remove(entry)
            munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress), bytes.count)
        } else {
            bytes.deallocate()
        }
    }
}
