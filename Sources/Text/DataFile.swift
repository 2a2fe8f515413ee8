import Foundation

/// A data file as it was when its source was looked up.
package struct DataFile: Sendable, Equatable, Codable {
    package let path: String
    /// Bytes.
    package let size: Int
    /// When it was last written, nanoseconds since 1970.
    package let modified: Int
    /// The file itself, where `path` leads to it through links; nil where it does not.
    package let target: String?

    package init(path: String) throws {
        var status = stat()
        guard stat(path, &status) == 0 else {
            throw DataError.unreadable(file: path, reason: String(cString: strerror(errno)))
        }
        self.path = path
        size = Int(status.st_size)
        // A link that leads elsewhere is another file, even one of the same size and time.
        let real = realpath(path, nil).map { name in
            defer { free(name) }
            return String(cString: name)
        }
        target = real == URL(fileURLWithPath: path).standardizedFileURL.path ? nil : real
        modified = status.st_mtim.tv_sec &* 1_000_000_000 &+ status.st_mtim.tv_nsec
    }
}
