import Foundation
import Support

/// The one way to standard output. Nothing is held back: what a call took has been written when it returns.
enum Output {
    /// Why standard output cannot be written.
    struct Failure: Error, CustomStringConvertible {
        /// The system's error.
        let code: Int32

        /// Whether whoever read the output has gone away, as `head` does when it has seen enough.
        var isReaderGone: Bool { code == EPIPE }

        var description: String {
            "standard output: cannot be written: \(String(cString: strerror(code))); what was printed is incomplete."
        }
    }

    private static let isTerminal = isatty(STDOUT_FILENO) == 1

    /// Writes text that others made, or JSON: byte for byte into a file or a pipe; to a terminal, without control characters.
    /// - Throws: ``Failure``; an exit when the user wants to stop and nobody takes the output.
    static func text(_ text: String) throws {
        try write(isTerminal ? ForeignText.whole(text) : text)
    }

    /// Writes lines of our own, of a table such as, in which text of others has no control characters and is cut.
    /// - Throws: as ``text(_:)``.
    static func line(_ text: String = "") throws { try write(ForeignText.lines(text) + "\n") }

    private static func write(_ text: String) throws {
        guard let code = StandardStreams.write(text, to: STDOUT_FILENO) else { return }
        if code == ECANCELED { try Interrupt.check() }
        throw Failure(code: code)
    }

    /// Ends the output; some file systems say only now that there was no space.
    /// - Throws: ``Failure``.
    static func finish() throws {
        // Closed at the start, it has been replaced by something that cannot be written, and that is no error here.
        if close(STDOUT_FILENO) != 0, errno != EBADF, errno != EINTR { throw Failure(code: errno) }
    }
}
