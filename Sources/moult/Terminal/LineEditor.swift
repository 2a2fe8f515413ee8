import ArgumentParser
import CTerminal
import Foundation

/// Lines that a person types, edited by GNU readline or libedit where one is installed.
struct LineEditor {
    /// What came of a line.
    enum Event: Equatable {
        case line(String)
        case end
        /// Ctrl-C, which gives up what was typed.
        case interrupted
    }

    /// Loads the library that the environment's `MOULT_LINE_EDITOR` names (readline, libedit or none), else the first that
    /// there is.
    /// - Returns: nil when there is none.
    init?() {
        let files = [
            ("readline", ["libreadline.so.8", "libreadline.so.7"]), ("libedit", ["libedit.so.2", "libedit.so.0"]),
        ]
        let wanted = ProcessInfo.processInfo.environment["MOULT_LINE_EDITOR"] ?? ""
        guard files.contains(where: { (wanted.isEmpty || wanted == $0.0) && $0.1.contains { moult_editor_open($0) } })
        else { return nil }
    }

    /// Shows `prompt` and returns what is typed.
    func next(_ prompt: String) -> Event {
        moult_editor_begin(prompt)
        defer { moult_editor_cancel() }
        while true {
            if Interrupt.isRequested { return .interrupted }
            var text: UnsafeMutablePointer<CChar>?
            let event = moult_editor_wait(&text)
            if event == MOULT_EDITOR_END { return .end }
            guard event == MOULT_EDITOR_LINE, let text else { continue }
            defer { free(text) }
            return .line(String(cString: text))
        }
    }

    /// Keeps a line for the arrow keys.
    func remember(_ line: String) { moult_editor_remember(line) }

    /// Forgets all lines.
    func forget() { moult_editor_forget() }
}
