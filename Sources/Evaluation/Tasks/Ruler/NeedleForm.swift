import Support

/// What one of RULER's eight tasks of needles in a haystack is made of, and its words (Hsieh et al. 2024,
/// arXiv 2404.06654, section 3.1 and appendix B).
struct NeedleForm: Sendable {
    /// Where the needles are hidden.
    enum Haystack: Sendable {
        /// One line again and again.
        case noise
        case essay
        /// Other needles.
        case needles
    }

    /// What a key or a value looks like; its name in the text.
    enum Kind: String, Sendable {
        case words, numbers, uuids

        func random(_ random: inout SplitMix64) -> String {
            switch self {
            case .words: return Vocabulary.pair(&random)
            case .numbers: return String(Int.random(in: 1_000_000...9_999_999, using: &random))
            case .uuids:
                // Version 4, variant 1 (RFC 9562, section 5.4).
                func digits(_ count: Int) -> String { Vocabulary.letters(count, of: "0123456789abcdef", &random) }
                let variant = Vocabulary.letters(1, of: "89ab", &random)
                return "\(digits(8))-\(digits(4))-4\(digits(3))-\(variant)\(digits(3))-\(digits(12))"
            }
        }
    }

    let haystack: Haystack
    var keys = Kind.words
    var values = Kind.numbers
    /// Keys that are hidden; the question asks for `queryCount` of them.
    var keyCount = 1
    var valueCount = 1
    var queryCount = 1

    /// What `VariableTracking` hides its statements in, too.
    static let noise = "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again."

    func needle(_ key: String, _ value: String) -> String {
        "One of the special magic \(values.rawValue) for \(key) is: \(value)."
    }

    /// Stands before the haystack.
    var opening: String {
        let (some, are) = isSingle ? ("A", "is") : ("Some", "are")
        return "\(some) special magic \(name) \(are) hidden within the following text. Make sure to memorize it. "
            + "I will quiz you about the \(name) afterwards.\n"
    }

    /// Stands behind the haystack, with the words with which the answer begins.
    func question(_ keys: [String]) -> String {
        var query = keys.joined(separator: ", ")
        if let last = keys.last, keys.count > 1 {
            query = keys.dropLast().joined(separator: ", ") + ", and " + last
        }
        let areAll = isSingle ? "is" : "are all"
        return "\nWhat \(areAll) the special magic \(name) for \(query) mentioned in the provided text? "
            + "The special magic \(name) for \(query) mentioned in the provided text \(isSingle ? "is" : "are")"
    }

    /// Whether one value is asked for.
    private var isSingle: Bool { queryCount * valueCount == 1 }
    private var name: String { isSingle ? String(values.rawValue.dropLast()) : values.rawValue }
}
