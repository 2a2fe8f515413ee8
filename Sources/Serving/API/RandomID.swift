import Support

/// Names that tell things of one kind apart, behind a prefix that says the kind.
enum RandomID {
    private static let letters = Array("abcdefghijklmnopqrstuvwxyz0123456789")
    /// Letters of a name that nobody else is to have, or to guess.
    static let count = 24

    static func text(_ count: Int = count) -> String {
        String((0..<count).map { _ in letters[Int.random(in: 0..<letters.count)] })
    }

    /// Letters that are the same for the same name.
    static func tag(_ name: String, _ count: Int) -> String {
        var hash = Array(name.utf8).withUnsafeBytes(XXHash64.hash)
        return String(
            (0..<count).map { _ in
                defer { hash /= UInt64(letters.count) }
                return letters[Int(hash % UInt64(letters.count))]
            })
    }

    /// Whether `text` is as ``text(_:)`` makes it.
    static func isOne(_ text: some StringProtocol) -> Bool { text.count == count && text.allSatisfy(letters.contains) }
}
