/// A set of tokens, a bit for each.
public struct TokenMask: Sendable, Equatable {
    private(set) var words: [UInt64]
    /// The number of tokens of the vocabulary.
    public let vocabularySize: Int

    /// An empty set of tokens below `vocabularySize`.
    public init(vocabularySize: Int) {
        self.vocabularySize = vocabularySize
        words = [UInt64](repeating: 0, count: (vocabularySize + 63) / 64)
    }

    /// Whether the set has `token`. Tokens that the vocabulary does not have are never in it.
    public subscript(token: Int32) -> Bool {
        get { contains(Int(token)) }
        set {
            guard (0..<vocabularySize).contains(Int(token)) else { return }
            let bit = UInt64(1) << UInt64(token & 63)
            if newValue { words[Int(token) >> 6] |= bit } else { words[Int(token) >> 6] &= ~bit }
        }
    }

    private func contains(_ token: Int) -> Bool {
        (0..<vocabularySize).contains(token) && words[token >> 6] >> UInt64(token & 63) & 1 == 1
    }

    /// The number of tokens in the set.
    public var count: Int { words.reduce(0) { $0 + $1.nonzeroBitCount } }
    /// Whether no token is in the set.
    public var isEmpty: Bool { words.allSatisfy { $0 == 0 } }

    /// The tokens of the set, ascending.
    public var tokens: [Int32] {
        var tokens: [Int32] = []
        forEach { tokens.append(Int32($0)) }
        return tokens
    }

    /// Calls `body` with each token, ascending.
    @inline(__always)
    func forEach(_ body: (Int) -> Void) {
        for (index, word) in words.enumerated() {
            var word = word
            while word != 0 {
                body(index << 6 + word.trailingZeroBitCount)
                word &= word - 1
            }
        }
    }

    mutating func formUnion(_ other: TokenMask) {
        for index in 0..<min(words.count, other.words.count) { words[index] |= other.words[index] }
    }
}
