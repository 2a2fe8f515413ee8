import ArgumentParser
import CTerminal
import Foundation
import Synchronization

/// SIGINT, SIGTERM and SIGHUP. They end the program at once, as long as it has nothing to lose; after ``hold(_:)`` the first
/// is noticed at the next safe point, and a second ends the program. One that was ignored when the program was started, as
/// nohup does, stays ignored. The exit code is 128 and the signal's number.
enum Interrupt {
    private static let requested = Atomic<Int32>(0)
    /// A bit for each signal that is held.
    private static let held = Atomic<UInt64>(0)

    static let signals = [SIGINT, SIGTERM, SIGHUP]

    /// Replaces what the signals would do.
    static func install() {
        // Touched first, so that the handler finds them made.
        _ = (requested.load(ordering: .relaxed), held.load(ordering: .relaxed), Terminal.isInteractive)
        for number in signals where !ignore(number) {
            signal(number) { number in
                let isFirst = Interrupt.requested.exchange(number, ordering: .relaxed) == 0
                if isFirst, Interrupt.held.load(ordering: .relaxed) & 1 << UInt64(number) != 0 { return }
                // From a line that is edited.
                moult_editor_restore()
                // Behind a bar or a text that has not ended.
                if Terminal.isInteractive { _ = write(STDERR_FILENO, "\n", 1) }
                _exit(128 + number)
            }
        }
    }

    /// From now on there is something to save or to tidy up when one of `numbers` arrives.
    static func hold(_ numbers: [Int32] = signals) {
        held.store(numbers.reduce(0) { $0 | 1 << UInt64($1) }, ordering: .relaxed)
    }

    /// Ignores a signal.
    /// - Returns: whether it was ignored before.
    @discardableResult
    static func ignore(_ number: Int32) -> Bool {
        unsafeBitCast(signal(number, SIG_IGN), to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
    }

    /// Whether the user wants to stop.
    static var isRequested: Bool { requested.load(ordering: .relaxed) != 0 }

    /// Forgets that the user wanted to stop.
    static func forget() { requested.store(0, ordering: .relaxed) }

    /// - Throws: an exit with the shell's code for an interrupted program.
    static func check() throws {
        let number = requested.load(ordering: .relaxed)
        if number != 0 { throw ExitCode(128 + number) }
    }
}

extension ExitCode {
    /// Whether it is that of ``Interrupt/check()``.
    var isInterrupt: Bool { Interrupt.signals.contains { rawValue == 128 + $0 } }
}
