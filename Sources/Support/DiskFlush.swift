import Foundation

/// Waits until what was written is on the disk. Errors are left out: what must not be lost is flushed by who wrote it.
package enum DiskFlush {
    /// A folder's names, so that a renaming lasts; not all file systems can.
    package static func folder(_ path: String) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_DIRECTORY)
        guard descriptor >= 0 else { return }
        fsync(descriptor)
        close(descriptor)
    }

    /// A folder and all files in it.
    static func contents(of path: String) {
        for name in FileManager.default.enumerator(atPath: path)?.compactMap({ $0 as? String }) ?? [] {
            guard let file = try? Descriptor(opening: "\(path)/\(name)", O_RDONLY) else { continue }
            fsync(file.number)
        }
        folder(path)
    }
}
