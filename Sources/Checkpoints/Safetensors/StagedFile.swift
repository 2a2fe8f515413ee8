import CSupport
import Foundation
import Support

/// A file that is written under a temporary name beside its final one, and renamed when it is complete.
package struct StagedFile {
    /// Where the file will be.
    let path: String
    /// Where it is until then.
    let temporaryPath: String
    private let replaces: Bool
    private var descriptor: Int32
    private let partial: PartialOutput

    /// Creates the temporary file.
    /// - Parameter replaces: Whether it takes the place of a file at `path`.
    /// - Throws: ``CheckpointError/exists(path:)`` when there is one and it does not.
    package init(path: String, replaces: Bool = false) throws {
        self.path = path
        self.replaces = replaces
        let name = "." + (path as NSString).lastPathComponent + ".\(UUID().uuidString).partial"
        temporaryPath = ((path as NSString).deletingLastPathComponent as NSString).appendingPathComponent(name)
        guard replaces || access(path, F_OK) != 0 else { throw CheckpointError.exists(path: path) }
        partial = PartialOutput(path: temporaryPath)
        descriptor = open(temporaryPath, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw CheckpointError.unwritable(path: path, reason: Self.lastError()) }
    }

    /// Writes to a file that is open already; for tests of what writing reports.
    package init(path: String, temporaryPath: String, descriptor: Int32) {
        self.path = path
        self.temporaryPath = temporaryPath
        self.descriptor = descriptor
        replaces = false
        partial = PartialOutput(path: temporaryPath)
    }

    /// Writes all of `bytes` at `offset`.
    package func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws {
        var written = 0
        while written < bytes.count {
            // Linux writes at most 2 GiB at once.
            let part = UnsafeRawBufferPointer(rebasing: bytes[written..<min(bytes.count, written + 1 << 30)])
            let count = pwrite(descriptor, part.baseAddress, part.count, off_t(offset + written))
            if count < 0, errno == EINTR { continue }
            // The system could not read the bytes: they are of a mapped file that was cut short, which reading them says.
            if count < 0, errno == EFAULT { moult_touch(part.baseAddress, part.count) }
            guard count > 0 else {
                throw CheckpointError.unwritable(
                    path: path, reason: count < 0 ? Self.lastError() : "nothing was written")
            }
            written += count
        }
    }

    /// Waits until the contents are on the disk, and closes the file.
    package mutating func sync() throws { try close(isDurable: true) }

    /// Closes the file, with its contents on the disk when it is to be durable.
    package mutating func close(isDurable: Bool) throws {
        guard !isDurable || fsync(descriptor) == 0 else {
            throw CheckpointError.unwritable(path: path, reason: Self.lastError())
        }
        try close()
    }

    /// Gives the file its final name, unless something that it does not replace has taken it meanwhile.
    package func publish() throws {
        guard replaces || access(path, F_OK) != 0 else { throw CheckpointError.exists(path: path) }
        guard rename(temporaryPath, path) == 0 else {
            throw CheckpointError.unwritable(path: path, reason: Self.lastError())
        }
    }

    /// Removes the temporary file.
    package mutating func discard() {
        try? close()
        unlink(temporaryPath)
    }

    private mutating func close() throws {
        guard descriptor >= 0 else { return }
        let result = Foundation.close(descriptor)
        descriptor = -1
        guard result == 0 else { throw CheckpointError.unwritable(path: path, reason: Self.lastError()) }
    }

    private static func lastError() -> String { String(cString: strerror(errno)) }
}
