import Text
import Tokenizers

/// A text in pieces of about a sentence, between which something can be put.
struct FillerText {
    /// At least one; together they are the text.
    let pieces: [String]
    /// Bytes after which a piece ends at the next space, and after which it ends anywhere.
    private static let (long, longest) = (300, 1200)

    /// The filler of Mohtashami and Jaggi 2023, arXiv 2305.16300.
    static let generated = FillerText(
        " The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again.")

    /// Reads a file of text, or the documents of one with an empty line between them.
    /// - Throws: `DataError`; ``EvaluationError/unreadable(file:expected:)`` for an empty text.
    init(path: String, options: DataOptions, tokenizer: Tokenizer) throws {
        let text = try TextFile.read(path, options: options, chat: ConversationText(tokenizer))
        guard !text.isEmpty else {
            throw EvaluationError.unreadable(file: path, expected: "a UTF-8 text that is not empty")
        }
        self.init(text)
    }

    /// - Parameter text: not empty.
    init(_ text: String) {
        var (pieces, piece) = ([String](), "")
        func end() {
            if !piece.isEmpty { pieces.append(piece) }
            piece = ""
        }
        for character in text {
            let bytes = piece.utf8.count
            let isBreak = character == " " && (".!?".contains(piece.last ?? " ") || bytes >= Self.long)
            if isBreak || bytes >= Self.longest { end() }
            piece.append(character)
            if character.isNewline { end() }
        }
        end()
        self.pieces = pieces
    }

    /// The pieces from `start` on, again and again without an end.
    func pieces(from start: Int) -> some Sequence<String> {
        (start...).lazy.map { pieces[$0 % pieces.count] }
    }
}
