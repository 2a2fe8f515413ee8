import Support

/// What keys and values may be.
enum RecallTerm: Sendable {
    /// lantern; amber lantern; the amber lantern; amber_lantern.
    case word, phrase, place, identifier
    /// Clara Novak.
    case name
    /// KX-4821.
    case label
    /// Three to seven digits.
    case digits
    /// Four to eight digits, such as 3fa90c.
    case hexadecimal

    static let keys: [RecallTerm] = [.word, .phrase, .place, .identifier, .name, .label]
    static let values: [RecallTerm] = [.digits, .digits, .hexadecimal, .word, .phrase, .name]

    /// What a value of this kind may be called.
    var nouns: [String] {
        switch self {
        case .digits: ["number", "extension", "price", "total", "weight", "account"]
        case .hexadecimal, .label: ["hash", "serial", "address", "signature"]
        case .word, .phrase, .place, .identifier: ["symbol", "project", "title", "label", "team"]
        case .name: ["owner", "manager", "teacher", "author", "contact"]
        }
    }

    func make(_ random: inout SplitMix64) -> String {
        func digits(_ count: Int, _ alphabet: [String]) -> String {
            (0..<count).map { _ in RecallWords.one(of: alphabet, &random) }.joined()
        }
        switch self {
        case .word: return RecallWords.one(of: RecallWords.nouns, &random)
        case .phrase:
            return RecallWords.one(of: RecallWords.adjectives, &random) + " " + Self.word.make(&random)
        case .place: return "the " + Self.phrase.make(&random)
        case .identifier:
            return RecallWords.one(of: RecallWords.adjectives, &random) + "_" + Self.word.make(&random)
        case .name:
            return RecallWords.one(of: RecallWords.firstNames, &random) + " "
                + RecallWords.one(of: RecallWords.surnames, &random)
        case .label: return digits(2, RecallWords.letters) + "-" + digits(4, RecallWords.digits)
        case .digits:
            let first = RecallWords.one(of: Array(RecallWords.digits.dropFirst()), &random)
            return first + digits(Int.random(in: 2...6, using: &random), RecallWords.digits)
        case .hexadecimal:
            return digits(Int.random(in: 4...8, using: &random), RecallWords.digits + ["a", "b", "c", "d", "e", "f"])
        }
    }
}
