import Support
import Tokenizers

/// Turns what recall rows say into tokens.
package struct RecallWriter: Sendable {
    package let tokenizer: DocumentTokenizer
    /// Tokens that end a sentence.
    let sentenceEnds: Set<Int32>

    package init(_ tokenizer: Tokenizer) {
        self.tokenizer = DocumentTokenizer(tokenizer)
        let ends = [".", "!", "?"].compactMap { try? tokenizer.encode(continuing: $0) }
        sentenceEnds = Set(ends.filter { $0.count == 1 }.joined())
    }

    /// The tokens of a text that stands behind other text. None where the tokenizer refuses it: no sound one does, and a
    /// document that lacks a question is left out.
    package func tokens(_ text: String) -> [Int32] { (try? tokenizer.tokenizer.encode(continuing: text)) ?? [] }

    /// `frame` filled in; the answer is what follows its cue.
    func question(_ frame: RecallFrame, key: String, value: String) -> RecallPiece {
        let all = tokens(frame.text(key: key, value: value))
        let cue = tokens(frame.cue(key: key))
        let start = zip(cue, all).prefix { $0 == $1 }.count
        return RecallPiece(tokens: all, answer: start..<all.count)
    }

    /// At most `count` tokens of a row of text, as one document: what begins and ends documents is left out.
    func passage(_ row: PackedRow, _ count: Int, _ random: inout SplitMix64) -> [Int32] {
        let marks = Set(tokenizer.prefix + tokenizer.suffix)
        let text = row.tokens.filter { !marks.contains($0) }
        let start = Int.random(in: 0...max(0, text.count - count), using: &random)
        return Array(text[start..<min(text.count, start + count)])
    }

    /// The first place at or behind `place` at which a sentence begins in `text`; `place` when none is near.
    func sentenceStart(in text: [Int32], from place: Int) -> Int {
        let near = place..<min(text.count, place + 64)
        return near.first { $0 == 0 || sentenceEnds.contains(text[$0 - 1]) } ?? place
    }
}

/// Some tokens of a document, and where in them the answer to a question stands.
struct RecallPiece {
    var tokens: [Int32]
    var answer: Range<Int>?
}
