import Support
import Tokenizers

/// Associative recall in plain text, after multi-query associative recall (Arora et al. 2023, arXiv 2312.04927): a list
/// of names with their codes, and several of the names again, each of which is to be followed by its code. The other
/// choices are codes of other names of the list, so that only the binding of name and code tells them apart.
package struct RecallPassages {
    /// The most tokens of a list.
    let length: Int
    let seed: UInt64
    /// Names that are asked for, at most ``choices``: fewer are the first of more.
    let queries: Int
    /// Codes among which an answer is chosen.
    package static let choices = 10

    package init(length: Int, seed: UInt64, queries: Int = 5) {
        (self.length, self.seed, self.queries) = (length, seed, min(queries, Self.choices))
    }

    /// - Throws: ``EvaluationError/length(task:minimum:found:)`` when the list has too few names to choose among.
    package func passage(_ index: Int, tokenizer: Tokenizer) throws -> Passage {
        var random = SplitMix64(seed: seed, stream: "recall/\(length)/\(index)")
        var (names, codes, context, tokens) = ([String](), [String](), "", 0)
        var used: Set<String> = []
        while true {
            let name = Self.unused(&used) { Self.name(&random) }
            let code = Self.unused(&used) { DigitCode.random(&random) }
            let line = Self.statement(name) + " \(code).\n"
            tokens += try tokenizer.encode(line, addSpecialTokens: false).count
            if tokens > length { break }
            names.append(name)
            codes.append(code)
            context += line
        }
        guard names.count >= Self.choices else {
            let minimum = tokens * Self.choices / (names.count + 1) + Self.choices
            throw EvaluationError.length(task: "recall", minimum: minimum, found: length)
        }
        let asked = names.indices.shuffled(using: &random).prefix(queries)
        return Passage(
            context: context,
            queries: asked.map { asked in
                let others = codes.indices.filter { $0 != asked }.shuffled(using: &random).prefix(Self.choices - 1)
                return DigitCode.query(
                    Self.statement(names[asked]), gold: codes[asked], others: others.map { codes[$0] }, &random)
            })
    }

    private static func statement(_ name: String) -> String { "The code of \(name) is" }

    /// Three syllables, such as "Mirato".
    private static func name(_ random: inout SplitMix64) -> String {
        (0..<3).map { _ in
            let (consonants, vowels) = (Array("bdfgklmnprstvz"), Array("aeiou"))
            return String([
                consonants[Int.random(in: consonants.indices, using: &random)],
                vowels[Int.random(in: vowels.indices, using: &random)],
            ])
        }.joined().capitalized
    }

    private static func unused(_ used: inout Set<String>, _ make: () -> String) -> String {
        while true {
            let text = make()
            if used.insert(text).inserted { return text }
        }
    }
}

/// The five-digit numbers that are to be found again.
enum DigitCode {
    static func random(_ random: inout SplitMix64) -> String { String(Int.random(in: 10_000...99_999, using: &random)) }

    /// `question` with the choices in random order.
    static func query(
        _ question: String, gold: String, others: [String], _ random: inout SplitMix64
    ) -> Passage.Query {
        var choices = others.map { " \($0)" }
        let place = Int.random(in: 0...choices.count, using: &random)
        choices.insert(" \(gold)", at: place)
        return Passage.Query(question: question, choices: choices, gold: place)
    }
}
