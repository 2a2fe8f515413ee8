import Foundation
import Support
import Training

/// A bar on standard error with the share done, the speed and the time left. Where standard error is not a terminal,
/// nothing is drawn.
final class ProgressBar {
    enum Unit { case items, bytes, parameters, tokens, windows, steps }

    private let label: String
    private let unit: Unit
    private var total: Int
    private let start = ContinuousClock.now
    private var drawn: ContinuousClock.Instant?
    private var finished = false
    private var first = 0

    init(_ label: String, total: Int, unit: Unit = .items) {
        (self.label, self.total, self.unit) = (label, total, unit)
    }

    /// Shows `done`; also the place where a long command notices that the user wants to stop.
    /// - Throws: as ``Interrupt/check()``.
    func update(_ done: Int, of newTotal: Int? = nil, note: String = "") throws {
        try Interrupt.check()
        if let newTotal { total = newTotal }
        guard Terminal.isInteractive, !finished else { return }
        let now = ContinuousClock.now
        if let drawn, drawn.duration(to: now) < .milliseconds(100), done < total { return }
        drawn = now
        let share = total > 0 ? min(1, Double(done) / Double(total)) : 1
        let elapsed = start.duration(to: now) / .seconds(1)
        let width = 24
        let filled = Int(share * Double(width))
        let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: width - filled)
        var line = "\(label) \(bar) \(String(format: "%3.0f%%", 100 * share))"
        if done > first, elapsed > 0.5 {
            let speed = Double(done - first) / elapsed
            line += "  \(rate(speed))  \(Self.clock(Double(total - done) / speed)) left"
        }
        if !note.isEmpty { line += "  \(note)" }
        Terminal.draw("\r\(ForeignText.line(line).prefix(Terminal.width))\u{1B}[K")
    }

    /// Counts from `done`, such as that of a run that is resumed: speed and time left are those of what follows.
    func begin(at done: Int) { first = done }

    /// Prints a line that stays, above the bar.
    func note(_ text: String) {
        if drawn != nil { Terminal.draw("\r\u{1B}[K") }
        Terminal.note(text)
    }

    /// Removes the bar.
    func finish() {
        guard !finished else { return }
        finished = true
        if drawn != nil { Terminal.draw("\r\u{1B}[K") }
    }

    private func rate(_ perSecond: Double) -> String {
        switch unit {
        case .bytes: "\(ByteCount.text(Int(min(perSecond, 1e15))))/s"
        case .parameters: "\(Figures.short(perSecond))/s"
        case .tokens: String(format: "%.0f tok/s", perSecond)
        case .items, .windows, .steps: String(format: "%.1f/s", perSecond)
        }
    }

    static func clock(_ seconds: Double) -> String {
        let whole = Int(min(seconds, 359_999).rounded(.up))
        return whole >= 3600
            ? String(format: "%d:%02d:%02d", whole / 3600, whole / 60 % 60, whole % 60)
            : String(format: "%d:%02d", whole / 60, whole % 60)
    }
}
