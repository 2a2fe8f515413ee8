import Foundation

/// Reads regular files whole. Pipes, devices, sockets and folders are refused before a byte is read, since reading them may
/// wait for ever; and nothing is mapped, so that a file that shrinks meanwhile is an error and not the end of the program.
package enum RegularFile {
    /// Why a file cannot be read, in a few words that follow its path.
    package struct Fault: Error, Equatable, CustomStringConvertible {
        package let description: String
        /// The system's error, when it is one.
        package let code: Int32?

        package init(description: String, code: Int32? = nil) { (self.description, self.code) = (description, code) }
    }

    /// The contents of the file at `path`.
    /// - Parameter limit: the most bytes that such a file has.
    package static func contents(_ path: String, limit: Int = .max) throws(Fault) -> Data {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        guard descriptor >= 0 else { throw Fault(errno) }
        defer { close(descriptor) }
        let size = try size(of: descriptor)
        guard size <= limit else {
            throw Fault(description: "a file of at most \(limit) bytes is expected; it has \(size)")
        }
        var data = Data(count: size)
        var filled = 0
        while filled < size {
            let count = data.withUnsafeMutableBytes {
                read(descriptor, $0.baseAddress?.advanced(by: filled), min($0.count - filled, 1 << 30))
            }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw Fault(errno) }
            guard count > 0 else { throw Fault(description: "it was cut short while it was read") }
            filled += count
        }
        return data
    }

    /// The size in bytes of the file open as `descriptor`, which must be a regular one.
    package static func size(of descriptor: Int32) throws(Fault) -> Int {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw Fault(errno) }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw Fault(description: "a regular file is expected; this is \(kind(status.st_mode))")
        }
        return Int(status.st_size)
    }

    /// What stands at `path`, with its article.
    package static func kind(at path: String) -> String {
        var status = stat()
        return stat(path, &status) == 0 ? kind(status.st_mode) : "nothing"
    }

    /// What something that is no regular file is, with its article.
    package static func kind(_ mode: mode_t) -> String {
        switch mode & S_IFMT {
        case S_IFREG: "a regular file"
        case S_IFDIR: "a folder"
        case S_IFIFO: "a pipe"
        case S_IFSOCK: "a socket"
        case S_IFLNK: "a link"
        default: "a device"
        }
    }
}

extension RegularFile.Fault {
    /// The system's words for `code`.
    package init(_ code: Int32) { self.init(description: String(cString: strerror(code)), code: code) }
}
