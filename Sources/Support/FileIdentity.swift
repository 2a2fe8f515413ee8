import Foundation

/// Which file a name stood for, and how it was: equal for a name that still stands for the same file, unchanged.
package struct FileIdentity: Sendable, Hashable {
    private let device: dev_t
    private let inode: ino_t
    private let size: off_t
    private let seconds: Int
    private let nanoseconds: Int

    /// Of what is at `path`, of a link the link or, where it is followed, what it leads to; nil when nothing is.
    package init?(_ path: String, followsLinks: Bool = false) {
        var status = stat()
        guard (followsLinks ? stat(path, &status) : lstat(path, &status)) == 0 else { return nil }
        self.init(status)
    }

    init?(_ descriptor: Int32) {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { return nil }
        self.init(status)
    }

    private init(_ status: stat) {
        (device, inode, size) = (status.st_dev, status.st_ino, status.st_size)
        (seconds, nanoseconds) = (Int(status.st_mtim.tv_sec), Int(status.st_mtim.tv_nsec))
    }

    /// Whether it is the same file, changed or not.
    package func isSameFile(_ other: FileIdentity) -> Bool { device == other.device && inode == other.inode }
}
