import Foundation

/// A folder that is there when this has been made, and those of it and the folders above it that were not there before.
package struct MadeFolders: Sendable {
    private let path: String
    /// The outermost first.
    private var made: [String] = []

    /// Makes the folder at `path`, and the folders above it, as far as they are missing. After an error none of them is left.
    package init(_ path: String) throws(RegularFile.Fault) {
        self.path = path
        var missing: [String] = []
        var next = path
        while access(next, F_OK) != 0, errno == ENOENT, !["", ".", "/"].contains(next) {
            missing.append(next)
            next = FilePath(next).folder
        }
        for folder in missing.reversed() {
            if mkdir(folder, 0o777) == 0 {
                made.append(folder)
            } else if errno != EEXIST {
                let code = errno
                remove()
                throw RegularFile.Fault(code)
            }
        }
        var status = stat()
        guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
            remove()
            throw RegularFile.Fault(ENOTDIR)
        }
    }

    /// Whether the folder itself is new.
    package var isNew: Bool { made.last == path }

    /// Removes what was made, as far as it is empty.
    package func remove() {
        for folder in made.reversed() where rmdir(folder) != 0 { return }
    }
}
