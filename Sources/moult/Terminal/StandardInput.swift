import ArgumentParser
import Foundation

/// Standard input as it arrives.
enum StandardInput {
    private static let bytes = 1 << 16

    /// The next bytes, as soon as there are some; nil at the end of the input, or when the user wants to stop.
    static func next() throws -> [UInt8]? {
        while !Interrupt.isRequested {
            var descriptor = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
            // Woken now and then: a signal may have come just before.
            let ready = poll(&descriptor, 1, 200)
            if ready == 0 || ready < 0 && errno == EINTR { continue }
            var count = 0
            let read = [UInt8](unsafeUninitializedCapacity: bytes) { buffer, filled in
                count = Foundation.read(STDIN_FILENO, buffer.baseAddress, bytes)
                filled = max(0, count)
            }
            if count < 0, errno == EINTR || errno == EAGAIN { continue }
            guard count >= 0 else {
                throw Failure("standard input: cannot be read: \(String(cString: strerror(errno))).")
            }
            return count > 0 ? read : nil
        }
        return nil
    }
}
