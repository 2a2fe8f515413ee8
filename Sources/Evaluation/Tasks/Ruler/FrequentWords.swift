import Foundation
import Support
import Tokenizers

/// RULER's frequent words extraction: of a text of coded words, whose frequencies fall with the square of their rank, the
/// three most frequent after the dots (Hsieh et al. 2024, arXiv 2404.06654, section 3.3 and appendix B).
struct FrequentWords {
    /// The most tokens of the prompt and of what is generated after it.
    let length: Int
    let seed: UInt64
    private static let (letters, generated) = (6, 50)
    /// Tokens of context for every word of the vocabulary.
    private static let tokensPerWord = 50
    /// From so many on, the third word stands in the text more often than the fourth.
    private static let minimumWords = 74

    func completion(_ index: Int, tokenizer: Tokenizer) throws -> Completion {
        var random = SplitMix64(seed: seed, stream: "frequent_words/\(length)/\(index)")
        var new = DistinctValues<String>()
        let vocabulary =
            ["..."]
            + (1..<max(4, (length - Self.generated) / Self.tokensPerWord)).map { _ in
                new.next { Vocabulary.letters(Self.letters, of: "abcdefghijklmnopqrstuvwxyz", &random) }
            }
        let start = random
        func prompt(_ count: Int) -> String {
            var random = start
            let words = vocabulary.enumerated().flatMap { index, word in
                [String](repeating: word, count: Self.count(rank: index + 1, of: count))
            }
            return Self.text(words.shuffled(using: &random))
        }
        let count = try LengthSearch(budget: length - Self.generated).requirePieces(
            from: Self.minimumWords, task: .frequentWords, generated: Self.generated
        ) { try tokenizer.encode(beginning: prompt($0)).count }
        return Completion(prompt: prompt(count), answers: Array(vocabulary[1...3]), limit: Self.generated)
    }

    /// How often the word of a rank stands among `count` words of a zeta distribution with α = 2, rounded down.
    private static func count(rank: Int, of count: Int) -> Int {
        Int(Double(count) / Double(rank * rank) / (Double.pi * Double.pi / 6))
    }

    private static func text(_ words: [String]) -> String {
        "Read the following coded text and track the frequency of each coded word. "
            + "Find the three most frequently appeared coded words. \(words.joined(separator: " "))\n"
            + "Question: Do not provide any explanation. Please ignore the dots '....'. "
            + "What are the three most frequently appeared words in the above coded text?"
            + " Answer: According to the coded text above, the three most frequently appeared words are:"
    }
}
