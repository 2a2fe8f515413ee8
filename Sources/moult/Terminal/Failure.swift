import ArgumentParser
import Foundation

/// What goes wrong while a command works, where no library has an error for it: exit code 1, without the usage that follows
/// a command line that cannot be understood.
struct Failure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// The exit code of each kind of failure; docs/terminal.md has them as a table.
enum ExitKind {
    /// - Parameters:
    ///   - code: what the parser makes of the error.
    ///   - message: what is said.
    static func code(_ code: ExitCode, message: String) -> Int32 {
        // An option's value that only a library can judge is refused by the option's name.
        code == .failure && message.hasPrefix("--") ? ExitCode.validationFailure.rawValue : code.rawValue
    }
}
