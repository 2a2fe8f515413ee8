import ArgumentParser
import Foundation
import Support
import Text

/// Lines of standard input where nothing edits them: of a pipe, a file, or a terminal.
struct InputLines {
    enum Event: Equatable {
        case line(String)
        /// A line that is no text, and what it is.
        case damaged(String)
        case end
        /// Ctrl-C while nothing was generated.
        case interrupted
    }

    private var bytes: [UInt8] = []
    private var number = 0
    private var isAtEnd = false

    /// The next line, without its end.
    /// - Throws: when the input cannot be read, or is text in another encoding.
    mutating func next() throws -> Event {
        while true {
            if let end = bytes.firstIndex(of: 0x0A) {
                let line = bytes[..<end]
                bytes.removeFirst(end + 1)
                return try event(Array(line))
            }
            if isAtEnd {
                guard !bytes.isEmpty else { return .end }
                defer { bytes = [] }
                return try event(bytes)
            }
            if let more = try StandardInput.next() {
                bytes += more
            } else if Interrupt.isRequested {
                // A terminal has dropped what was typed of its line, and a pipe's lines stay.
                return .interrupted
            } else {
                isAtEnd = true
            }
        }
    }

    private mutating func event(_ line: [UInt8]) throws -> Event {
        number += 1
        var line = line[...]
        if number == 1 {
            if let found = TextEncoding.foreign(line + [0x0A]) {
                throw ValidationError("standard input: expected UTF-8 text, found \(found).")
            }
            line = TextEncoding.unmarked(line)
        }
        if line.last == 0x0D { line = line.dropLast() }
        if let text = String(validating: line, as: UTF8.self) { return .line(text) }
        let byte = TextFile.firstInvalidByte(Data(line))
        return .damaged(
            "standard input:\(number): not UTF-8 at byte \(byte) of the line; convert the text to UTF-8 first.")
    }
}
