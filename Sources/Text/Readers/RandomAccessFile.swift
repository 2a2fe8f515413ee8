import Foundation

/// A file read piece by piece, anywhere.
final class RandomAccessFile: Sendable {
    let path: String
    /// Bytes, when the file was opened.
    let size: Int
    private let descriptor: Int32

    init(path: String) throws {
        self.path = path
        descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            throw DataError.unreadable(file: path, reason: String(cString: strerror(errno)))
        }
        var status = stat()
        let isFile = fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
        size = Int(status.st_size)
        guard isFile else { throw DataError.unreadable(file: path, reason: "it is not a regular file") }
    }

    deinit { close(descriptor) }

    /// `count` bytes from `offset`.
    /// - Throws: ``DataError/truncated(file:place:part:needed:available:)`` when the file does not have them.
    func read(_ count: Int, at offset: Int, part: String, place: DataPlace) throws -> [UInt8] {
        guard offset >= 0, offset <= size, count >= 0, count <= size - offset else {
            throw DataError.truncated(
                file: path, place: place, part: part, needed: count, available: max(0, size - max(0, offset)))
        }
        var failure: Int32?
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, done in
            done = 0
            while done < count {
                let part = UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[done..<count])
                let got = pread(descriptor, part.baseAddress, min(part.count, 1 << 30), off_t(offset + done))
                if got < 0, errno == EINTR { continue }
                if got < 0 { failure = errno }
                guard got > 0 else { return }
                done += got
            }
        }
        if let failure { throw DataError.unreadable(file: path, reason: String(cString: strerror(failure))) }
        guard bytes.count == count else { throw DataError.changed(file: path) }
        return bytes
    }
}
