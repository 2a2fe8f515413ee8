import ArgumentParser
import Foundation
import Synchronization

/// SIGINT and SIGTERM, noticed at the next safe point, so that a half-written folder is removed.
enum Interrupt {
    private static let requested = Atomic<Bool>(false)

    /// Replaces the signals' default, which would end the program at once.
    static func install() {
        // Touched first, so that the handler finds it made.
        _ = requested.load(ordering: .relaxed)
        for number in [SIGINT, SIGTERM] { signal(number) { _ in Interrupt.requested.store(true, ordering: .relaxed) } }
    }

    /// - Throws: an exit with the shell's code for an interrupted program.
    static func check() throws {
        if requested.load(ordering: .relaxed) { throw ExitCode(130) }
    }
}
