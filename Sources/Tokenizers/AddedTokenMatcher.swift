/// Finds added tokens in text: at every position the longest one, from left to right.
struct AddedTokenMatcher: Sendable {
    /// A piece of text: an added token, or what stands between two of them.
    enum Piece {
        case token(Int32)
        case text(Range<Int>)
    }

    private struct Node: Sendable {
        var children: [UInt8: Int] = [:]
        /// The index of the token that ends here.
        var token: Int?
    }

    private let tokens: [AddedToken]
    private var nodes = [Node()]
    private var startsToken = [Bool](repeating: false, count: 256)

    /// - Parameter tokens: each with the bytes to look for.
    init(_ tokens: [(token: AddedToken, pattern: [UInt8])]) {
        self.tokens = tokens.map(\.token)
        for (index, (_, pattern)) in tokens.enumerated() {
            guard let first = pattern.first else { continue }
            startsToken[Int(first)] = true
            var node = 0
            for byte in pattern {
                if let child = nodes[node].children[byte] {
                    node = child
                } else {
                    nodes.append(Node())
                    nodes[node].children[byte] = nodes.count - 1
                    node = nodes.count - 1
                }
            }
            if nodes[node].token == nil { nodes[node].token = index }
        }
    }

    var isEmpty: Bool { nodes.count == 1 }

    func pieces(of text: UTF8Text) -> [Piece] {
        let count = text.bytes.count
        guard !isEmpty else { return count > 0 ? [.text(0..<count)] : [] }
        var pieces: [Piece] = []
        var taken = 0
        var position = 0
        while let match = nextMatch(in: text, from: position) {
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

    private func nextMatch(in text: UTF8Text, from position: Int) -> (start: Int, end: Int, token: Int)? {
        startsToken.withUnsafeBufferPointer { startsToken in
            for start in position..<text.bytes.count where startsToken[Int(text[start])] {
                var node = 0
                var end = start
                var longest: (start: Int, end: Int, token: Int)?
                while end < text.bytes.count, let child = nodes[node].children[text[end]] {
                    node = child
                    end += 1
                    if let token = nodes[node].token { longest = (start, end, token) }
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
