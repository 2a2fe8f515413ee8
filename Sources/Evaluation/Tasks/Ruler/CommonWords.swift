import Support
import Tokenizers

/// RULER's common words extraction: of a numbered list of words, the ten that stand there most often. A short list with
/// its answer stands before it (Hsieh et al. 2024, arXiv 2404.06654, section 3.3 and appendix B).
struct CommonWords {
    /// The most tokens of the prompt and of what is generated after it.
    let length: Int
    let seed: UInt64
    private static let (common, generated, minimumWords) = (10, 120, 20)

    func completion(_ index: Int, tokenizer: Tokenizer) throws -> Completion {
        var random = SplitMix64(seed: seed, stream: "common_words/\(length)/\(index)")
        // The published numbers of words, and of how often they stand in a list, for short and long contexts.
        let isShort = length < 4096
        let shown = list(isShort ? 20 : 40, times: isShort ? (3, 1) : (10, 3), &random)
        let example = Self.text(shown.list) + " " + Self.numbered(shown.common) + "\n"
        let start = random
        func drawn(_ count: Int) -> (list: [String], common: [String]) {
            var random = start
            return list(count, times: isShort ? (6, 1) : (30, 3), &random)
        }
        let count = try LengthSearch(budget: length - Self.generated).requirePieces(
            from: Self.minimumWords, task: .commonWords, generated: Self.generated
        ) { try tokenizer.encode(beginning: example + Self.text(drawn($0).list)).count }
        let words = drawn(count)
        return Completion(prompt: example + Self.text(words.list), answers: words.common, limit: Self.generated)
    }

    /// - Parameter times: how often a common word stands in the list, and how often another.
    private func list(
        _ count: Int, times: (common: Int, other: Int), _ random: inout SplitMix64
    ) -> (list: [String], common: [String]) {
        let words = Vocabulary.sample(count, &random)
        let list = words.enumerated().flatMap { index, word in
            [String](repeating: word, count: index < Self.common ? times.common : times.other)
        }
        return (list.shuffled(using: &random), Array(words.prefix(Self.common)))
    }

    private static func numbered(_ words: [String]) -> String {
        words.enumerated().map { "\($0 + 1). \($1)" }.joined(separator: " ")
    }

    private static func text(_ words: [String]) -> String {
        "Below is a numbered list of words. In these words, some appear more often than others. "
            + "Memorize the ones that appear most often.\n\(numbered(words))\n"
            + "Question: What are the 10 most common words in the above list?"
            + " Answer: The top 10 words that appear most often in the list are:"
    }
}
