import Foundation

/// The three descriptors that a process is started with.
enum StandardStreams {
    /// Makes sure that all three are there. In place of one that is closed, /dev/null is opened, the wrong way round:
    /// reading or writing fails as it would have, and no file of ours takes the number.
    static func prepare() {
        for (descriptor, mode) in [(STDIN_FILENO, O_WRONLY), (STDOUT_FILENO, O_RDONLY), (STDERR_FILENO, O_RDONLY)]
        where fcntl(descriptor, F_GETFD) < 0 && errno == EBADF {
            // The lowest free number is this one, since those below it are open.
            _ = open("/dev/null", mode)
        }
    }

    /// Writes all of `text` to `descriptor`, however slowly it is taken.
    /// - Returns: the system's error when it cannot be written; ECANCELED when the user wants to stop and nobody takes it.
    static func write(_ text: String, to descriptor: Int32) -> Int32? {
        var text = text
        return text.withUTF8 { bytes in
            var written = 0
            while written < bytes.count {
                // A pipe that is ready takes this much without waiting, and so a signal is always noticed.
                let count = min(bytes.count - written, Int(PIPE_BUF))
                if !isReady(descriptor) {
                    if Interrupt.isRequested { return ECANCELED }
                    continue
                }
                let result = Foundation.write(descriptor, bytes.baseAddress.map { $0 + written }, count)
                if result >= 0 { written += result } else if errno != EINTR, errno != EAGAIN { return errno }
            }
            return nil
        }
    }

    /// Waits a moment until `descriptor` takes something, or refuses it with an error.
    private static func isReady(_ descriptor: Int32) -> Bool {
        var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        let ready = poll(&entry, 1, 200)
        return ready > 0 || ready < 0 && errno != EINTR
    }
}
