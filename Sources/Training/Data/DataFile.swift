import Foundation

/// A data file as it was when its source was looked up.
package struct DataFile: Sendable, Equatable, Codable {
    package let path: String
    /// Bytes.
    package let size: Int
    /// When it was last written, nanoseconds since 1970.
    package let modified: Int

    package init(path: String) throws {
        var status = stat()
        guard stat(path, &status) == 0 else {
            throw DataError.unreadable(file: path, reason: String(cString: strerror(errno)))
        }
        self.path = path
        size = Int(status.st_size)
        modified = status.st_mtim.tv_sec &* 1_000_000_000 &+ status.st_mtim.tv_nsec
    }
}
