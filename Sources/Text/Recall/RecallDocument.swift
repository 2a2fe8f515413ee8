/// A document of a recall row while it is written, in at most ``limit`` tokens.
struct RecallDocument {
    let writer: RecallWriter
    /// The most tokens, those that begin and end a document included.
    let limit: Int
    private(set) var tokens: [Int32]
    /// Where answers stand in ``tokens``: each is found before them too.
    private(set) var answers: [Range<Int>] = []

    init(_ writer: RecallWriter, limit: Int) {
        (self.writer, self.limit) = (writer, limit)
        tokens = writer.tokenizer.prefix
    }

    /// Tokens for which there is room.
    var room: Int { limit - tokens.count - writer.tokenizer.suffix.count }

    /// Adds a piece of the document.
    /// - Returns: false when there is no room for it, or nothing in it, and it was left out.
    @discardableResult
    mutating func append(_ piece: RecallPiece) -> Bool {
        guard 1...max(1, room) ~= piece.tokens.count, room > 0 else { return false }
        if let answer = piece.answer, !answer.isEmpty {
            answers.append(answer.lowerBound + tokens.count..<answer.upperBound + tokens.count)
        }
        tokens += piece.tokens
        return true
    }

    /// Adds a text.
    /// - Returns: as ``append(_:)``.
    @discardableResult
    mutating func append(_ text: String) -> Bool { append(RecallPiece(tokens: writer.tokens(text))) }

    /// Ends the document.
    mutating func finish() { tokens += writer.tokenizer.suffix }
}
