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

    /// How the terminal is set, as `stty` would say.
    var settings: termios {
        get {
            var settings = termios()
            tcgetattr(primary, &settings)
            return settings
        }
        set {
            var settings = newValue
            tcsetattr(primary, TCSANOW, &settings)
        }
    }

    /// Sets the terminal as a shell leaves it: lines, echo, and keys that send signals.
    func becomeOrdinary() {
        var settings = self.settings
        settings.c_lflag |= UInt32(ICANON | ECHO | ISIG | IEXTEN)
        settings.c_iflag |= UInt32(ICRNL)
        settings.c_oflag |= UInt32(OPOST | ONLCR)
        self.settings = settings
    }

    func resize(columns: Int) {
        var size = winsize(ws_row: 24, ws_col: UInt16(columns), ws_xpixel: 0, ws_ypixel: 0)
        _ = ioctl(primary, UInt(TIOCSWINSZ), &size)
    }

    /// What was read behind what was asked for.
    private var rest: [UInt8] = []

    /// What was written since the last call, up to and with `text`, which is waited for half a minute at most.
    func read(until text: String) -> String {
        var bytes = rest
        rest = []
        let limit = ContinuousClock.now + .seconds(30)
        while ContinuousClock.now < limit {
            if let found = bytes.firstRange(of: Array(text.utf8)) {
                rest = Array(bytes[found.upperBound...])
                return String(decoding: bytes[..<found.upperBound], as: UTF8.self)
            }
            var descriptor = pollfd(fd: primary, events: Int16(POLLIN), revents: 0)
            guard poll(&descriptor, 1, 100) > 0 else { continue }
            var part = [UInt8](repeating: 0, count: 4096)
            let count = Foundation.read(primary, &part, part.count)
            guard count > 0 else { break }
            bytes += part.prefix(count)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Types `text`.
    func type(_ text: String) {
        var text = text
        text.withUTF8 { _ = write(primary, $0.baseAddress, $0.count) }
    }

    /// All that is written until nobody holds the terminal's own end.
    func readToEnd() -> String {
        try? end.close()
        var bytes = rest
        while true {
            var part = [UInt8](repeating: 0, count: 4096)
            let count = Foundation.read(primary, &part, part.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            bytes += part.prefix(count)
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
