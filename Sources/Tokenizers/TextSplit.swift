import Foundation

/// A step of a pre-tokeniser that finds something in text and splits there.
struct TextSplit: Sendable {
    /// What is looked for.
    enum Pattern: Sendable {
        case regularExpression(RegularExpressionSplit)
        /// A text, which is not empty.
        case literal([UInt8])
        /// Every character of one of these classes.
        case characters(CharacterClass)
        /// Runs of characters of words, and runs of what are neither those nor white space.
        case wordsAndSymbols
        /// So many characters.
        case length(Int)
    }

    var pattern: Pattern
    var behavior: SplitBehavior
    /// What the pattern does not match counts as the match.
    var isInverted = false

    /// The lengths in bytes of the pieces of a range of the text, in order, and which of them are kept.
    /// - Throws: ``TokenizerError/limit(file:component:reason:)``.
    func pieces(of text: UTF8Text, _ range: Range<Int>) throws -> [(length: Int, isKept: Bool)] {
        var stretches = try stretches(of: text, range)
        if isInverted { for index in stretches.indices { stretches[index].isMatch.toggle() } }
        return behavior.pieces(stretches)
    }

    private func stretches(of text: UTF8Text, _ range: Range<Int>) throws -> [SplitBehavior.Stretch] {
        var stretches: [SplitBehavior.Stretch] = []
        var start = range.lowerBound
        func match(_ match: Range<Int>) {
            if match.lowerBound > start { stretches.append((match.lowerBound - start, false)) }
            stretches.append((match.count, true))
            start = match.upperBound
        }
        switch pattern {
        case .regularExpression(let expression):
            return try expression.stretches(of: String(decoding: text.bytes[range], as: UTF8.self))
        case .literal(let literal):
            let bytes = Array(text.bytes[range])
            while let found = ByteSearch.first(literal, in: bytes, from: start - range.lowerBound) {
                match(range.lowerBound + found..<range.lowerBound + found + literal.count)
            }
        case .characters(let characters):
            var position = start
            while position < range.upperBound {
                let (value, end) = text.characterClass(at: position)
                if !value.isDisjoint(with: characters) { match(position..<end) }
                position = end
            }
        case .wordsAndSymbols:
            var position = start
            while position < range.upperBound {
                let (value, end) = text.characterClass(at: position)
                let isWord = value.contains(.word)
                guard isWord || !value.contains(.space) else {
                    position = end
                    continue
                }
                let stop = text.endOfRun(from: end, limit: range.upperBound) {
                    isWord ? $0.contains(.word) : $0.isDisjoint(with: [.word, .space])
                }
                match(position..<stop)
                position = stop
            }
        case .length(let length):
            var position = start
            while position < range.upperBound {
                var end = position
                for _ in 0..<length where end < range.upperBound { end = text.scalar(at: end).end }
                match(position..<end)
                position = end
            }
        }
        if start < range.upperBound { stretches.append((range.upperBound - start, false)) }
        return stretches
    }
}
