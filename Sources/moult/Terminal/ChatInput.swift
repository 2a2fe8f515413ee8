import ArgumentParser
import Foundation
import Support

/// What a person says: a line, several that end in a backslash but for the last, what stands between two `"""`, or what is
/// pasted at once.
struct ChatInput {
    enum Event: Equatable {
        case message(String)
        /// What cannot be sent, and why.
        case refused(String)
        case end
    }

    /// Whether a person types and reads: a prompt is shown.
    let isTerminal = isatty(STDIN_FILENO) == 1
    /// Whether a person also sees the answers.
    let isConversation = isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1
    private let editor: LineEditor?
    private let history: ChatHistory?
    private var lines = InputLines()
    private var lastMessage: String?

    /// - Parameter keepsHistory: whether messages are read from and added to the history's file.
    init(keepsHistory: Bool) {
        editor = isConversation ? LineEditor() : nil
        history = editor != nil && keepsHistory ? ChatHistory() : nil
        for message in history?.messages() ?? [] {
            editor?.remember(message)
            lastMessage = message
        }
    }

    /// The next message. Ctrl-C gives up what was typed; twice in a row it ends the program.
    mutating func next(_ prompt: String) throws -> Event {
        var assembly = MessageAssembly()
        var wasInterrupted = false
        while true {
            switch try line(assembly.isEmpty ? prompt : "... ") {
            case .interrupted:
                Interrupt.forget()
                if isTerminal { try Output.line() }
                if wasInterrupted { throw ExitCode(128 + SIGINT) }
                wasInterrupted = true
                assembly = MessageAssembly()
                if isTerminal { Terminal.remark("(Ctrl-C once more, Ctrl-D or /exit ends)") }
                continue
            case .end:
                if isTerminal { try Output.line() }
                guard assembly.isEmpty else {
                    return .refused("the input ends within a message; \(assembly.expectation)")
                }
                return .end
            case .damaged(let reason): return .refused(reason)
            case .line(let line): assembly.add(line)
            }
            wasInterrupted = false
            guard let message = assembly.message else { continue }
            keep(message)
            return .message(message)
        }
    }

    /// Forgets what was typed, here and in the file.
    func forget() {
        editor?.forget()
        history?.remove()
    }

    private mutating func line(_ prompt: String) throws -> InputLines.Event {
        if let editor {
            switch editor.next(prompt) {
            case .line(let line): return .line(line)
            case .end: return .end
            case .interrupted: return .interrupted
            }
        }
        if isTerminal { try Output.text(prompt) }
        return try lines.next()
    }

    private mutating func keep(_ message: String) {
        guard let editor, message != lastMessage, !message.allSatisfy(\.isWhitespace) else { return }
        lastMessage = message
        editor.remember(message)
        // A line that begins with a space is not kept, as in shells.
        if !message.hasPrefix(" "), message != "/forget" { history?.add(message) }
    }
}
