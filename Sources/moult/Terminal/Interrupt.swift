import ArgumentParser
import Foundation
import Synchronization

/// SIGINT and SIGTERM, noticed at the next safe point, so that a half-written folder is removed.
enum Interrupt {
    private static let requested = Atomic<Bool>(false)
    private static let endsAtSecond = Atomic<Bool>(false)

    /// Replaces the signals' default, which would end the program at once.
    static func install() {
        // Touched first, so that the handler finds it made.
        _ = requested.load(ordering: .relaxed)
        _ = endsAtSecond.load(ordering: .relaxed)
        for number in [SIGINT, SIGTERM] {
            signal(number) { _ in
                let again = Interrupt.requested.exchange(true, ordering: .relaxed)
                if again, Interrupt.endsAtSecond.load(ordering: .relaxed) { _exit(130) }
            }
        }
    }

    /// The same, and a second signal before ``take()`` ends the program at once.
    static func installForConversation() {
        install()
        endsAtSecond.store(true, ordering: .relaxed)
    }

    /// Whether the user wants to stop.
    static var isRequested: Bool { requested.load(ordering: .relaxed) }

    /// Whether the user wanted to stop, which is forgotten by this.
    static func take() -> Bool { requested.exchange(false, ordering: .relaxed) }

    /// - Throws: an exit with the shell's code for an interrupted program.
    static func check() throws {
        if requested.load(ordering: .relaxed) { throw ExitCode(130) }
    }
}
