import ArgumentParser
import Dispatch
import Foundation
import Synchronization

/// SIGINT and SIGTERM, noticed at the next safe point, so that a half-written folder is removed.
enum Interrupt {
    private static let requested = Atomic<Bool>(false)
    /// Made once; the sources live as long as the program.
    private static let sources: [any DispatchSourceSignal] = [SIGINT, SIGTERM].map { number in
        signal(number, SIG_IGN)
        let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
        source.setEventHandler { requested.store(true, ordering: .relaxed) }
        source.resume()
        return source
    }

    static func install() { _ = sources }

    /// - Throws: an exit with the shell's code for an interrupted program.
    static func check() throws {
        if requested.load(ordering: .relaxed) { throw ExitCode(130) }
    }
}
