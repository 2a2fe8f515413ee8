import Evaluation
import Models
import Tensors
import Text
import Tokenizers

/// A few questions whose answers stand in what was read before, asked whenever the student is measured: lists of names with
/// their codes, as `moult evaluate --tasks recall` makes them, of other names, and behind each list up to ten of its names
/// again, each with its code. A list is read once, and so an answer costs no more than its tokens.
///
/// A question is answered when at every token of its code the model prefers that token to those with which the codes of nine
/// other names would go on there. Who does not know which code belongs to which name is right one time in ten.
package struct HeldRecall {
    /// The answers to the questions about lists of one length.
    package struct Result: Sendable, Equatable {
        /// The most tokens of a list.
        package var length: Int
        package var questions: Int
        /// The share that is answered, 0 to 1.
        package var accuracy: Double
    }

    /// The share that guessing answers.
    package static let chance = 1 / Double(RecallPassages.choices)
    /// The questions are the same in every run, so that runs compare.
    private static let seed: UInt64 = 0x7265_6361_6C6C
    /// Tokens of the short lists, which any window of some size reaches, and the most of long ones.
    private static let (short, longest) = (256, 2048)

    /// Where two codes part: the token of the right one, and those of the others.
    package struct Fork {
        package let question: Int
        package let place: Int
        package let tokens: [Int32]
    }

    /// A list and the questions behind it.
    package struct List {
        package fileprivate(set) var tokens: [Int32]
        package fileprivate(set) var forks: [Fork] = []
        package fileprivate(set) var questions = 0
    }

    package let lists: [(length: Int, lists: [List])]

    /// - Parameters:
    ///   - length: tokens of a row, T. Lists have 256 and T, 2048 at most; T alone where a row is shorter. Where ten names do
    ///     not fit there are no questions.
    ///   - questions: of each length; 0 for none.
    package init(_ tokenizer: Tokenizer, length: Int, questions: Int) throws {
        let writer = RecallWriter(tokenizer)
        let longest = min(length, Self.longest)
        lists = try (questions > 0 ? Set([min(Self.short, longest), longest]).sorted() : []).compactMap { length in
            do { return (length, try Self.lists(writer, length: length, questions: questions)) } catch EvaluationError
                .length
            { return nil }
        }
    }

    package var isEmpty: Bool { lists.isEmpty }
    /// The lengths of the lists, and the questions that are asked of each.
    package var kinds: [(length: Int, questions: Int)] {
        lists.map { ($0.length, $0.lists.reduce(0) { $0 + $1.questions }) }
    }
    /// Tokens that are read at a measurement.
    var tokens: Int { lists.reduce(0) { $0 + $1.lists.reduce(0) { $0 + $1.tokens.count } } }

    private static func lists(_ writer: RecallWriter, length: Int, questions: Int) throws -> [List] {
        try stride(from: 0, to: questions, by: RecallPassages.choices).enumerated().map { number, asked in
            let passage = try RecallPassages(length: length, seed: seed, queries: questions - asked)
                .passage(number, tokenizer: writer.tokenizer.tokenizer)
            var list = List(tokens: writer.tokenizer.prefix + writer.tokens(passage.context))
            for query in passage.queries {
                list.tokens += writer.tokens(query.question)
                let choices = query.choices.map(writer.tokens), gold = choices[query.gold]
                for (place, token) in gold.enumerated() {
                    let others = choices.filter { $0.starts(with: gold[..<place]) && $0.count > place }.map {
                        $0[place]
                    }
                    let rest = Set(others).subtracting([token]).sorted()
                    guard !rest.isEmpty else { continue }
                    list.forks.append(
                        Fork(question: list.questions, place: list.tokens.count + place, tokens: [token] + rest))
                }
                list.tokens += gold + writer.tokens(".\n")
                list.questions += 1
            }
            return list
        }
    }

    /// What `model` answers, by length of the lists.
    /// - Parameter team: who measures together, each some of the lists.
    package func measure(_ model: DecoderModel, team: RunTeam = RunTeam()) throws -> [Result] {
        let right = try team.sum(
            lists.map { try team.some(of: $1).reduce(0) { $0 + Double(try Self.answered($1, by: model)) } })
        return zip(kinds, right).map { kind, right in
            Result(
                length: kind.length, questions: kind.questions, accuracy: right / Double(max(1, kind.questions)))
        }
    }

    /// How many of the list's questions are answered.
    private static func answered(_ list: List, by model: DecoderModel) throws -> Int {
        let hidden = try model.hidden([list.tokens])
            .reshaped([list.tokens.count, model.configuration.decoder.hiddenSize])
        let places = list.forks.flatMap { fork in fork.tokens.map { _ in Int32(fork.place - 1) } }
        guard !places.isEmpty else { return 0 }
        let losses = try Tensor.embedding(places, table: hidden)
            .negativeLogLikelihood(head: model.headWeight, targets: list.forks.flatMap(\.tokens), cap: model.logitCap)
        var (wrong, start) = (Set<Int>(), 0)
        for fork in list.forks {
            let (own, others) = (losses[start], losses[start + 1..<start + fork.tokens.count])
            // What is not a number is no answer, nor is what the model cannot tell apart.
            if !others.allSatisfy({ own < $0 }) { wrong.insert(fork.question) }
            start += fork.tokens.count
        }
        return list.questions - wrong.count
    }
}
