import Foundation
import Support

/// Standard error: what a person reads while a command works. Where it cannot be written nobody listens, and the work goes on.
enum Terminal {
    /// Whether a person watches standard error.
    static let isInteractive = isatty(STDERR_FILENO) == 1

    /// Columns of the terminal.
    static var width: Int { width(of: STDERR_FILENO) ?? 100 }

    /// Columns of the terminal that standard output is.
    static var outputWidth: Int { width(of: STDOUT_FILENO) ?? 80 }

    private static func width(of descriptor: Int32) -> Int? {
        var size = winsize()
        return ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 ? Int(size.ws_col) : nil
    }

    /// Writes one line, whatever text of others it holds.
    static func note(_ text: some StringProtocol) { draw(ForeignText.line(text) + "\n") }

    /// Writes lines of our own.
    static func lines(_ text: some StringProtocol) { draw(ForeignText.lines(text) + "\n") }

    /// Writes one line, on a terminal broken between words.
    static func remark(_ text: some StringProtocol) { wrapped(ForeignText.line(text)) }

    /// Writes lines of our own, on a terminal broken between words.
    static func wrapped(_ text: String) {
        guard isInteractive else { return lines(text) }
        var wrap = WordWrap(width: width)
        let safe = ForeignText.lines(text)
        draw(wrap.push(safe) + wrap.finish() + "\n")
    }

    /// Writes what the terminal is to obey.
    static func draw(_ text: String) { _ = StandardStreams.write(text, to: STDERR_FILENO) }
}

/// 1234567 → "1,234,567".
func grouped(_ value: Int) -> String {
    var result = ""
    for (index, digit) in String(value).reversed().enumerated() {
        if index > 0, index % 3 == 0, digit != "-" { result.append(",") }
        result.append(digit)
    }
    return String(result.reversed())
}

/// The most memory that this process has held, in bytes.
func peakMemory() -> Int {
    var usage = rusage()
    getrusage(RUSAGE_SELF.rawValue, &usage)
    return usage.ru_maxrss * 1024
}

extension String {
    /// Padded with spaces to `width`, never cut.
    func padded(to width: Int) -> String { self + String(repeating: " ", count: max(1, width - count)) }
}
