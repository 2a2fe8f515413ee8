import Foundation

/// A terminal without a person: what is written to it is read from here.
final class PseudoTerminal {
    private let primary: Int32
    /// The terminal's own end, for a process.
    let end: FileHandle

    /// TIOCSPTLCK and TIOCGPTN of Linux; posix_openpt is not in Swift's Glibc.
    private static let (lock, number): (UInt, UInt) = (0x4004_5431, 0x8004_5430)

    init() throws {
        primary = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
        var (locked, number) = (Int32(0), Int32(-1))
        guard ioctl(primary, Self.lock, &locked) == 0, ioctl(primary, Self.number, &number) == 0 else {
            throw CocoaError(.fileReadUnknown)
        }
        let descriptor = open("/dev/pts/\(number)", O_RDWR | O_NOCTTY | O_CLOEXEC)
        guard descriptor >= 0 else { throw CocoaError(.fileReadUnknown) }
        end = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        // What is written arrives as it is.
        var settings = termios()
        tcgetattr(descriptor, &settings)
        cfmakeraw(&settings)
        tcsetattr(descriptor, TCSANOW, &settings)
    }

    deinit { close(primary) }

    /// Types `text`.
    func type(_ text: String) {
        var text = text
        text.withUTF8 { _ = write(primary, $0.baseAddress, $0.count) }
    }

    /// All that is written until nobody holds the terminal's own end.
    func readToEnd() -> String {
        try? end.close()
        var bytes: [UInt8] = []
        while true {
            var part = [UInt8](repeating: 0, count: 4096)
            let count = read(primary, &part, part.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            bytes += part.prefix(count)
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
