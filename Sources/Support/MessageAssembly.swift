/// Puts a message together from typed lines. A line that ends in a backslash goes on in the next; a line that begins with
/// `"""` begins a text that ends with a line that ends in `"""`. A line with line breaks was pasted, and is a message as it is.
package struct MessageAssembly {
    private static let quotes = "\"\"\""
    private var lines: [String] = []
    private var isQuoted = false
    /// The message, when it is whole.
    package private(set) var message: String?

    package init() {}

    /// Whether no line has come.
    package var isEmpty: Bool { lines.isEmpty && !isQuoted }

    /// What ends the message.
    package var expectation: String {
        isQuoted ? "expected a line that ends in \"\"\"" : "expected a line behind one that ends in a backslash"
    }

    package mutating func add(_ line: String) {
        if isQuoted { return addQuoted(line) }
        if lines.isEmpty {
            if line.contains("\n") {
                message = line
                return
            }
            if line.hasPrefix(Self.quotes) {
                isQuoted = true
                let rest = String(line.dropFirst(3))
                if !rest.isEmpty { addQuoted(rest) }
                return
            }
        }
        guard line.hasSuffix("\\") else {
            message = (lines + [line]).joined(separator: "\n")
            return
        }
        lines.append(String(line.dropLast()))
    }

    private mutating func addQuoted(_ line: String) {
        guard line.hasSuffix(Self.quotes) else {
            lines.append(line)
            return
        }
        let rest = line.dropLast(3)
        message = (lines + (rest.isEmpty ? [] : [String(rest)])).joined(separator: "\n")
    }
}
