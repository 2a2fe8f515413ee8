import Foundation

/// What is at a place where a file is to be written.
package enum Occupant: Equatable {
    case nothing
    /// A regular file with the first bytes that were asked for.
    case own
    /// Something else, in words with an article.
    case foreign(String)

    /// Looks at `path`, without following a link there.
    /// - Parameter beginning: the first bytes of a file that may be replaced.
    package init(_ path: String, beginning: [UInt8]) throws(RegularFile.Fault) {
        var status = stat()
        guard lstat(path, &status) == 0 else {
            guard errno == ENOENT else { throw RegularFile.Fault(errno) }
            self = .nothing
            return
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            self = .foreign(RegularFile.kind(status.st_mode))
            return
        }
        let file = try Descriptor(opening: path, O_RDONLY)
        var head = [UInt8](repeating: 0, count: beginning.count)
        self = pread(file.number, &head, head.count, 0) == head.count && head == beginning ? .own : .foreign("another file")
    }
}
