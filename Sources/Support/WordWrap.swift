/// Breaks text that comes in parts into lines of a terminal, between words. A word is held back until it has ended.
package struct WordWrap {
    /// The most columns of a line.
    private let width: Int
    /// Columns of the line so far.
    private var column = 0
    /// Spaces that are shown when the next word has its place behind them.
    private var spaces = ""
    private var word = ""

    /// - Parameter width: the terminal's columns. The last stays free, as some terminals go to the next line behind it.
    package init(width: Int) { self.width = max(1, width - 1) }

    /// What can be shown, now that `text` has come.
    package mutating func push(_ text: String) -> String {
        var shown = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\n":
                shown += finish() + "\n"
                column = 0
            case " ", "\t":
                shown += takeWord()
                spaces.unicodeScalars.append(scalar)
            default:
                if isBreak(before: scalar) { shown += takeWord() }
                word.unicodeScalars.append(scalar)
                // Longer than a line, and so broken anywhere.
                if TextWidth.columns(word) >= width { shown += takeWord() }
            }
        }
        return shown
    }

    /// What was held back, at the end of the text or of a line.
    package mutating func finish() -> String {
        let shown = takeWord()
        spaces = ""
        return shown
    }

    /// Ideographs stand alone, but nothing is broken off before what closes a sentence or a bracket.
    private func isBreak(before scalar: Unicode.Scalar) -> Bool {
        guard let last = word.unicodeScalars.last, TextWidth.columns(scalar) > 0 else { return false }
        if Self.closing.contains(scalar) || Self.opening.contains(last) || last == "\u{200D}" { return false }
        return TextWidth.isIdeographic(scalar) || TextWidth.isIdeographic(last)
    }

    private static let closing = Set("、。，．：；？！」』）】〉》〕］｝ー々…,.:;?!)]}\"'”’".unicodeScalars)
    private static let opening = Set("「『（【〈《〔［｛([{\"'“‘".unicodeScalars)

    private mutating func takeWord() -> String {
        guard !word.isEmpty else { return "" }
        defer { (word, spaces) = ("", "") }
        let length = TextWidth.columns(word)
        let gap = spaces.unicodeScalars.reduce(0) { $0 + ($1 == "\t" ? 8 - (column + $0) % 8 : 1) }
        guard column + gap + length > width, column > 0 else {
            column += gap + length
            return spaces + word
        }
        column = length
        return "\n" + word
    }
}
