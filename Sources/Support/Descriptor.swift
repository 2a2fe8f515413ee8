import Foundation

/// An open file, which is closed with its owner.
package final class Descriptor: Sendable {
    package let number: Int32

    package init(_ number: Int32) { self.number = number }

    deinit { close(number) }

    /// Opens the file or folder at `path`, no link, without waiting for anything.
    package convenience init(opening path: String, _ flags: Int32, mode: mode_t = 0o666) throws(RegularFile.Fault) {
        let number = open(path, flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, mode)
        guard number >= 0 else { throw RegularFile.Fault(errno) }
        self.init(number)
    }

    /// Whether this process now holds the lock on the file, which ends with the descriptor, and so with the process.
    ///
    /// A lock that is held is asked for again for a moment: a program that a process is just starting holds copies of its
    /// descriptors, closed ones too, until it runs.
    /// - Throws: when the file system has no locks.
    package func lock() throws(RegularFile.Fault) -> Bool {
        var attempts = 20
        while flock(number, LOCK_EX | LOCK_NB) != 0 {
            switch errno {
            case EINTR: continue
            case EWOULDBLOCK where attempts > 0:
                attempts -= 1
                usleep(10_000)
            case EWOULDBLOCK: return false
            default: throw RegularFile.Fault(errno)
            }
        }
        return true
    }

    /// Whether the file is still the one that `path` names.
    package func isNamed(_ path: String) -> Bool {
        guard let own = FileIdentity(number) else { return false }
        return FileIdentity(path).map { $0.isSameFile(own) } ?? false
    }
}
