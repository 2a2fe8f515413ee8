import Support

/// A passage of the user's text that comes again, word for word.
enum RecallCopy {
    /// Tokens of the shortest passage, and of its beginning, by which it is known again.
    private static let shortest = 16
    private static let cue = 6

    /// - Parameter text: the user's text, of which as much is taken as there is room for.
    static func write(to document: inout RecallDocument, _ text: [Int32], _ random: inout SplitMix64) {
        let pause = document.writer.tokens("\n\n")
        let length = Int.random(in: shortest...max(shortest, document.room / 4), using: &random)
        let body = Array(text.prefix(max(0, document.room - length - pause.count)))
        guard body.count >= length else { return }
        let place = Int.random(in: 0...body.count - length, using: &random)
        let start = min(document.writer.sentenceStart(in: body, from: place), body.count - length)
        document.append(RecallPiece(tokens: body + pause))
        document.append(RecallPiece(tokens: Array(body[start..<start + length]), answer: cue..<length))
    }
}
