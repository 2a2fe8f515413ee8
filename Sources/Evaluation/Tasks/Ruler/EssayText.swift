import Support
import Text
import Tokenizers

/// Running text, sentence by sentence and without an end, in which needles are hidden.
struct EssayText: Sendable {
    /// Those of a file, which are read again and again; nil for sentences that are made.
    private let sentences: [String]?

    /// Sentences about nothing, no two likely the same: always the same text.
    static let generated = EssayText(sentences: nil)

    private init(sentences: [String]?) { self.sentences = sentences }

    /// Reads a text as ``FillerText`` does; white space of any kind becomes one space.
    init(path: String, options: DataOptions, tokenizer: Tokenizer) throws {
        let text = try FillerText(path: path, options: options, tokenizer: tokenizer).pieces.joined()
            .split(whereSeparator: \.isWhitespace)
        guard !text.isEmpty else {
            throw EvaluationError.unreadable(file: path, expected: "a UTF-8 text that is not empty")
        }
        sentences = FillerText(text.joined(separator: " ")).pieces.map { String($0.trimmingPrefix(" ")) }
    }

    /// The first `count` sentences.
    func sentences(_ count: Int) -> [String] {
        (0..<count).map { index in
            sentences.map { $0[index % $0.count] } ?? Self.sentence(index)
        }
    }

    private static func sentence(_ index: Int) -> String {
        var random = SplitMix64(seed: UInt64(index), stream: "essay")
        func pick(_ words: [String]) -> String { words[Int.random(in: words.indices, using: &random)] }
        func thing() -> String { "the \(pick(Vocabulary.adjectives)) \(pick(Vocabulary.nouns))" }
        func place() -> String { "\(pick(places)) the \(pick(Vocabulary.nouns))" }
        let words =
            switch Int.random(in: 0..<5, using: &random) {
            case 0: "\(thing()) \(pick(deeds)) \(thing()) \(place())"
            case 1: "\(pick(times)) \(thing()) \(pick(deeds)) the \(pick(Vocabulary.nouns))"
            case 2: "\(place()), \(thing()) \(pick(deeds)) \(thing()) and the \(pick(Vocabulary.nouns))"
            case 3: "\(thing()) was as \(pick(Vocabulary.adjectives)) as the \(pick(Vocabulary.nouns)) \(place())"
            default: "nobody \(pick(deeds)) \(thing()), for \(thing()) \(pick(deeds)) the \(pick(Vocabulary.nouns))"
            }
        return words.prefix(1).uppercased() + words.dropFirst() + "."
    }

    private static let deeds = [
        "admired", "brought", "carried", "covered", "drew", "feared", "followed", "forgot", "found",
        "guarded", "heard", "held", "joined", "kept", "knew", "left", "liked", "lost", "met", "missed",
        "moved", "needed", "noticed", "owned", "painted", "passed", "praised", "raised", "reached",
        "remembered", "saw", "sold", "sought", "touched", "turned", "visited", "wanted", "watched",
    ]
    private static let places = [
        "above", "across", "against", "along", "around", "before", "behind", "below", "beside", "beyond",
        "inside", "near", "outside", "over", "past", "through", "toward", "under",
    ]
    private static let times = [
        "after a while", "at night", "by and by", "every year", "from time to time", "in the end",
        "later on", "long ago", "now and then", "on some days", "once", "sooner or later", "that day",
        "the next morning", "then", "today",
    ]
}
