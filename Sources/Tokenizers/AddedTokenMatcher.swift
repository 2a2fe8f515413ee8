/// Finds added tokens in text: at every position the longest one, from left to right.
struct AddedTokenMatcher: Sendable {
    /// A piece of text: an added token, or what stands between two of them.
    enum Piece {
        case token(Int32)
        case text(Range<Int>)
    }

    private let tokens: [AddedToken]
    /// A tree of the patterns' bytes: the node behind `256 * node + byte`.
    private var children: [Int: Int] = [:]
    /// For every node the index of the token that ends there.
    private var tokenAtNode: [Int?] = [nil]
    private var startsToken = [Bool](repeating: false, count: 256)

    /// - Parameter tokens: each with the bytes to look for.
    init(_ tokens: [(token: AddedToken, pattern: [UInt8])]) {
        self.tokens = tokens.map(\.token)
        for (index, (_, pattern)) in tokens.enumerated() {
            guard let first = pattern.first else { continue }
            startsToken[Int(first)] = true
            var node = 0
            for byte in pattern {
                if let child = children[256 * node + Int(byte)] {
                    node = child
                } else {
                    tokenAtNode.append(nil)
                    children[256 * node + Int(byte)] = tokenAtNode.count - 1
                    node = tokenAtNode.count - 1
                }
            }
            if tokenAtNode[node] == nil { tokenAtNode[node] = index }
        }
    }

    var isEmpty: Bool { tokenAtNode.count == 1 }

    /// Whether a token may reach over a space between a letter or digit and a letter: it holds one, or takes the white
    /// space behind it with it.
    var goesOverSpaces: Bool {
        tokens.contains { token in
            let characters = token.content.unicodeScalars.map { CharacterClass.of($0.value) }
            let word: CharacterClass = [.letter, .number]
            if token.stripsRight, let last = characters.last, !last.isDisjoint(with: word) { return true }
            return zip(characters, characters.dropFirst(2)).enumerated().contains { index, sides in
                characters[index + 1].contains(.space) && !sides.0.isDisjoint(with: word) && sides.1.contains(.letter)
            }
        }
    }

    /// - Throws: ``TokenizerError/limit(file:component:reason:)`` when the tokens begin like the text so often and for so
    ///   long that looking for them takes more than 64 steps a byte; those of models take 1.
    func pieces(of text: UTF8Text) throws -> [Piece] {
        let count = text.bytes.count
        guard !isEmpty else { return count > 0 ? [.text(0..<count)] : [] }
        var pieces: [Piece] = []
        var taken = 0
        var position = 0
        var steps = 64 * count + (1 << 16)
        while let match = try nextMatch(in: text, from: position, steps: &steps) {
            var start = match.start
            var end = match.end
            position = end
            let token = tokens[match.token]
            if token.isSingleWord, continuesWord(text, start: start, end: end) { continue }
            if token.stripsLeft {
                while start > taken {
                    let previous = text.start(before: start)
                    guard text.characterClass(at: previous).value.contains(.space) else { break }
                    start = previous
                }
                start = max(start, taken)
            }
            if token.stripsRight { end = text.endOfRun(from: end, limit: count) { $0.contains(.space) } }
            if taken < start { pieces.append(.text(taken..<start)) }
            pieces.append(.token(token.id))
            taken = end
        }
        if taken < count { pieces.append(.text(taken..<count)) }
        return pieces
    }

    private func nextMatch(
        in text: UTF8Text, from position: Int, steps: inout Int
    ) throws -> (start: Int, end: Int, token: Int)? {
        try startsToken.withUnsafeBufferPointer { startsToken in
            for start in position..<text.bytes.count where startsToken[Int(text[start])] {
                var node = 0
                var end = start
                var longest: (start: Int, end: Int, token: Int)?
                while end < text.bytes.count, let child = children[256 * node + Int(text[end])] {
                    node = child
                    end += 1
                    if let token = tokenAtNode[node] { longest = (start, end, token) }
                }
                steps -= end - start
                guard steps > 0 else {
                    throw TokenizerError.limit(
                        file: "tokenizer.json", component: "added_tokens",
                        reason: "looking for them in this text takes more than 64 steps a byte")
                }
                if let longest { return longest }
            }
            return nil
        }
    }

    private func continuesWord(_ text: UTF8Text, start: Int, end: Int) -> Bool {
        if start > 0, text.characterClass(at: text.start(before: start)).value.contains(.word) { return true }
        return end < text.bytes.count && text.characterClass(at: end).value.contains(.word)
    }
}
