import Evaluation
import Foundation
import TestSupport
import Testing
import Tokenizers

/// The texts of RULER's tasks, as a model gets them: their words are those of the published templates, and their answers
/// follow from them.
@Suite("Tasks of RULER")
struct RulerTests {
    static let tasks: [EvaluationTask] = [
        .needleSingle1, .needleSingle2, .needleSingle3, .needleMultikey1, .needleMultikey2, .needleMultikey3,
        .needleMultivalue, .needleMultiquery, .variableTracking, .commonWords, .frequentWords,
    ]
    static let bothWays = tasks.filter { $0.methods.count == 2 }
    private let tokenizer: Tokenizer
    init() throws { tokenizer = try englishTokenizer() }

    private func groups(_ task: EvaluationTask, _ change: (inout EvaluationTask.Options) -> Void) throws
        -> [ExampleGroup]
    {
        var options = EvaluationTask.Options()
        change(&options)
        return try task.groups(options, tokenizer: tokenizer)
    }

    /// The texts of a task and the answers to them.
    private func texts(
        _ task: EvaluationTask, _ length: Int, count: Int = 2, seed: UInt64 = 0, data: String? = nil
    ) throws -> [(prompt: String, tokens: Int, limit: Int, answers: [String])] {
        let continuer = Scribe { _ in "" }
        let group = try groups(task) { ($0.lengths, $0.limit, $0.seed, $0.data) = ([length], count, seed, data) }[0]
        let result = try group.evaluate(continuer, tokenizer: tokenizer)
        return try zip(continuer.prompts, result.answers).map { prompt, answer in
            #expect(prompt.tokens.starts(with: tokenizer.textPrefix))
            let text = prompt.tokens.dropFirst(tokenizer.textPrefix.count)
            return (
                try tokenizer.decode(Array(text), skipSpecialTokens: false), prompt.tokens.count, prompt.limit,
                answer.answers
            )
        }
    }

    /// Keys and values of all needles, in the order of the text.
    private func needles(_ text: String) -> [(key: String, value: String)] {
        text.matches(of: /One of the special magic (?:numbers|uuids) for (\S+) is: (\S+)\./).map {
            (String($0.1), String($0.2))
        }
    }

    private static var uuid: Regex<Substring> {
        /[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/
    }
    private static let noise =
        "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again."

    @Test("a text is nearly as long as asked for, and depends on the seed alone", arguments: tasks)
    func lengths(_ task: EvaluationTask) throws {
        for length in [1600, 4500] {
            let found = try texts(task, length)
            for text in found {
                let whole = text.tokens + text.limit
                #expect((length - 100...length).contains(whole), "\(task) \(length): \(whole)")
            }
            #expect(found[0].prompt != found[1].prompt)
            #expect(try texts(task, length).map(\.prompt) == found.map(\.prompt))
            #expect(try texts(task, length, seed: 1)[0].prompt != found[0].prompt)
        }
    }

    @Test("one needle in repeated sentences")
    func single() throws {
        for (prompt, _, limit, answers) in try texts(.needleSingle1, 900, count: 4) {
            let needle = try #require(needles(prompt).first)
            #expect(answers == [needle.value] && limit == 128)
            #expect(needle.key.wholeMatch(of: /[a-z]+-[a-z]+/) != nil)
            #expect(needle.value.wholeMatch(of: /[1-9]\d{6}/) != nil)
            let lines = prompt.split(separator: "\n").map(String.init)
            #expect(
                lines.first
                    == "A special magic number is hidden within the following text. Make sure to memorize it. I will quiz you about the number afterwards."
            )
            #expect(
                lines.last
                    == "What is the special magic number for \(needle.key) mentioned in the provided text? The special magic number for \(needle.key) mentioned in the provided text is"
            )
            let sentence = "One of the special magic numbers for \(needle.key) is: \(needle.value)."
            #expect(Set(lines.dropFirst().dropLast()) == [Self.noise, sentence])
            #expect(lines.count { $0 == sentence } == 1)
        }
    }

    @Test("one needle in an essay: a number, and a UUID")
    func essay() throws {
        for (task, word) in [(EvaluationTask.needleSingle2, "number"), (.needleSingle3, "uuid")] {
            for (prompt, _, limit, answers) in try texts(task, 900) {
                let found = needles(prompt)
                #expect(found.map(\.value) == answers && found.count == 1 && limit == 128)
                #expect((answers[0].wholeMatch(of: Self.uuid) != nil) == (word == "uuid"))
                #expect(prompt.hasPrefix("A special magic \(word) is hidden within the following text. "))
                #expect(prompt.contains("One of the special magic \(word)s for \(found[0].key) is: \(answers[0])."))
                #expect(
                    prompt.hasSuffix(
                        " The special magic \(word) for \(found[0].key) mentioned in the provided text is"))
                #expect(!prompt.contains("The grass is green"))
                // An opening, the essay in one line, and the question.
                #expect(prompt.split(separator: "\n").count == 3)
            }
        }
    }

    @Test("the essay is the user's text, sentence by sentence and again from its beginning")
    func filler() throws {
        let folder = try TemporaryFolder()
        try folder.write("filler.txt", "It was  the\nfirst one. Then came\tthe second!\n\nWas there a third? ")
        let prompt = try texts(.needleSingle2, 500, count: 1, data: folder.path)[0].prompt
        let context = prompt.split(separator: "\n")[1]
        let needle = try #require(context.firstMatch(of: /One of the special magic [^:]*: \d+\. ?/))
        let text = context[..<needle.range.lowerBound] + context[needle.range.upperBound...]
        let rest = text.replacing("It was the first one. Then came the second! Was there a third?", with: "")
        #expect(rest.filter { $0 != " " }.count < 40, "\(rest)")
        try folder.write("filler.txt", " \n\t")
        let error = EvaluationError.unreadable(
            file: "\(folder.path)/filler.txt", expected: "a UTF-8 text that is not empty")
        #expect(throws: error) { try texts(.needleSingle2, 500, data: folder.path) }
    }

    @Test("several keys: one is asked for")
    func multikey() throws {
        for (prompt, _, _, answers) in try texts(.needleMultikey1, 1200, count: 4) {
            let found = needles(prompt)
            let asked = try #require(prompt.firstMatch(of: /What is the special magic number for (\S+) mentioned/))
            #expect(Set(found.map(\.key)).count == 4 && Set(found.map(\.value)).count == 4 && found.count == 4)
            #expect(found.filter { $0.key == asked.1 }.map(\.value) == answers)
        }
    }

    @Test("a haystack of needles", arguments: [EvaluationTask.needleMultikey2, .needleMultikey3])
    func needleHaystack(_ task: EvaluationTask) throws {
        for (prompt, _, _, answers) in try texts(task, 2400) {
            let found = needles(prompt)
            let asked = try #require(prompt.firstMatch(of: /What is the special magic \w+ for (\S+) mentioned/))
            // Every line between the first and the last is one.
            #expect(found.count == prompt.split(separator: "\n").count - 2 && found.count > 10)
            #expect(Set(found.map(\.key)).count == found.count && Set(found.map(\.value)).count == found.count)
            #expect(found.filter { $0.key == asked.1 }.map(\.value) == answers)
            if task == .needleMultikey3 {
                #expect(found.allSatisfy { $0.key.wholeMatch(of: Self.uuid) != nil })
                #expect(found.allSatisfy { $0.value.wholeMatch(of: Self.uuid) != nil })
            }
        }
    }

    @Test("four values of a key")
    func multivalue() throws {
        for (prompt, _, _, answers) in try texts(.needleMultivalue, 1200, count: 4) {
            let found = needles(prompt)
            let key = found[0].key
            #expect(found.count == 4 && Set(found.map(\.key)) == [key] && Set(answers).count == 4)
            #expect(Set(found.map(\.value)) == Set(answers))
            #expect(
                prompt.hasPrefix(
                    "Some special magic numbers are hidden within the following text. Make sure to memorize it. I will quiz you about the numbers afterwards.\n"
                ))
            #expect(
                prompt.hasSuffix(
                    "\nWhat are all the special magic numbers for \(key) mentioned in the provided text? The special magic numbers for \(key) mentioned in the provided text are"
                ))
        }
    }

    @Test("four keys are asked for")
    func multiquery() throws {
        for (prompt, _, _, answers) in try texts(.needleMultiquery, 1200, count: 4) {
            let values = Dictionary(uniqueKeysWithValues: needles(prompt).map { ($0.key, $0.value) })
            let asked = try #require(prompt.firstMatch(of: /numbers for (\S+), (\S+), (\S+), and (\S+) mentioned/))
            let keys = [asked.1, asked.2, asked.3, asked.4].map(String.init)
            #expect(values.count == 4 && Set(keys).count == 4)
            #expect(keys.map { values[$0] ?? "" } == answers)
            #expect(
                prompt.hasSuffix(
                    " The special magic numbers for \(keys[0]), \(keys[1]), \(keys[2]), and \(keys[3]) mentioned in the provided text are"
                ))
        }
    }

    @Test("variable tracking: a chain of five variables, and a short example before it")
    func variables() throws {
        for (prompt, _, limit, answers) in try texts(.variableTracking, 1600, count: 4) {
            let opening = "Memorize and track the chain(s) of variable assignment hidden in the following text.\n\n"
            let parts = prompt.components(separatedBy: opening)
            #expect(parts.count == 3 && parts[0].isEmpty && limit == 30)
            let example = try #require(parts[1].firstMatch(of: /they are:  ((?:[A-Z]{3} ){4}[A-Z]{3})\n\n$/))
            for (text, expected) in [
                (parts[1], example.1.split(separator: " ").map(String.init)), (parts[2], answers),
            ] {
                let value = try #require(text.firstMatch(of: /VAR [A-Z]+ = (\d{5})\n/)).1
                // Whatever holds the value when all assignments were made in order.
                var holders: [String] = []
                for statement in text.matches(of: /VAR ([A-Z]+) = (?:VAR )?(\w+) ?\n/) {
                    if statement.2 == value || holders.contains(String(statement.2)) {
                        holders.append(String(statement.1))
                    }
                }
                #expect(holders == expected && expected.count == 5)
                #expect(
                    text.contains(
                        "\nQuestion: Find all variables that are assigned the value \(value) in the text above. Answer: According to the chain(s) of variable assignment in the text above, 5 variables are assigned the value \(value), they are: "
                    ))
                let lines = text.components(separatedBy: "\nQuestion:")[0].split(separator: "\n")
                #expect(lines.count { $0 == Self.noise } == lines.count - 5)
            }
            #expect(prompt.hasSuffix(", they are: ") && answers.allSatisfy { $0.count == 5 })
        }
    }

    @Test("common words: how often they stand in the list and in the example", arguments: [1600, 5000])
    func commonWords(_ length: Int) throws {
        let (shown, asked) = length < 4096 ? ((3, 1), (6, 1)) : ((10, 3), (30, 3))
        for (prompt, _, limit, answers) in try texts(.commonWords, length) {
            let opening =
                "Below is a numbered list of words. In these words, some appear more often than others. Memorize the ones that appear most often.\n"
            let question =
                "\nQuestion: What are the 10 most common words in the above list? Answer: The top 10 words that appear most often in the list are:"
            let parts = prompt.components(separatedBy: opening)
            #expect(parts.count == 3 && parts[0].isEmpty && limit == 120 && prompt.hasSuffix(question))
            let example = parts[1].components(separatedBy: question)[1]
            #expect(example.hasPrefix(" 1. ") && example.hasSuffix("\n"))
            for (text, times, common) in [(parts[1], shown, words(example)), (parts[2], asked, answers)] {
                let list = words(text.components(separatedBy: question)[0])
                let counts = Dictionary(grouping: list) { $0 }.mapValues(\.count)
                #expect(Set(common).count == 10)
                #expect(Set(counts.filter { $0.value == times.0 }.keys) == Set(common))
                #expect(counts.values.allSatisfy { $0 == times.0 || $0 == times.1 })
                if text == parts[1] { #expect(counts.count == (length < 4096 ? 20 : 40)) }
            }
        }
    }

    /// The words of "1. one 2. two", whose numbers must ascend.
    private func words(_ list: String) -> [String] {
        let items = list.split(whereSeparator: \.isWhitespace).map(String.init)
        #expect(stride(from: 0, to: items.count, by: 2).map { items[$0] } == (0..<items.count / 2).map { "\($0 + 1)." })
        return stride(from: 1, to: items.count, by: 2).map { items[$0] }
    }

    @Test("a list that has more words than there are is made of pairs of them")
    func manyWords() throws {
        let (prompt, tokens, _, answers) = try texts(.commonWords, 60_000, count: 1)[0]
        #expect((59_500...60_000).contains(tokens + 120))
        #expect(Set(prompt.matches(of: /\d+\. (\S+)/).map { String($0.1) }).count > 1534)
        #expect(answers.allSatisfy { $0.wholeMatch(of: /[a-z]+-[a-z]+/) != nil })
    }

    @Test("frequent words: the three that stand in the text most often, the dots left out")
    func frequentWords() throws {
        for (prompt, _, limit, answers) in try texts(.frequentWords, 3000, count: 4) {
            let opening =
                "Read the following coded text and track the frequency of each coded word. Find the three most frequently appeared coded words. "
            let question =
                "\nQuestion: Do not provide any explanation. Please ignore the dots '....'. What are the three most frequently appeared words in the above coded text? Answer: According to the coded text above, the three most frequently appeared words are:"
            #expect(prompt.hasPrefix(opening) && prompt.hasSuffix(question) && limit == 50)
            let words = prompt.dropFirst(opening.count).dropLast(question.count).split(separator: " ").map(String.init)
            let counts = Dictionary(grouping: words) { $0 }.mapValues(\.count).sorted { $0.value > $1.value }
            #expect(counts[0].key == "..." && counts[1...3].map(\.key) == answers)
            #expect(counts[3].value > counts[4].value)
            #expect(counts.dropFirst().allSatisfy { $0.key.wholeMatch(of: /[a-z]{6}/) != nil })
            // Frequencies fall with the square of the rank.
            for rank in 2...4 {
                #expect(abs(Double(counts[rank - 1].value * rank * rank) / Double(counts[0].value) - 1) < 0.1)
            }
        }
    }

    @Test("one who reads finds all, one who does not finds none, and half is half")
    func generation() throws {
        for task in Self.tasks {
            let group = try groups(task) { ($0.lengths, $0.limit) = ([1600], 2) }[0]
            #expect(group.method == .generation && group.label == "\(task.rawValue) 1600")
            let answers = try group.evaluate(Scribe { _ in "" }, tokenizer: tokenizer).answers.map(\.answers)
            // In capitals, and with text between.
            let all = Scribe { index in "They are " + answers[index].joined(separator: ", and ").uppercased() + "." }
            let right = try group.evaluate(all, tokenizer: tokenizer)
            #expect(right.metrics.map(\.name) == ["string_match_all"] && right.metrics[0].value == 1)
            #expect(right.scores.isEmpty && right.examples == 2)
            // What follows the last answer is not asked for.
            #expect(all.texts == answers.map { "They are " + $0.joined(separator: ", and ").uppercased() })
            #expect(try group.evaluate(Scribe { _ in "1, 2" }, tokenizer: tokenizer).metrics[0].value == 0)
            let one = try group.evaluate(Scribe { answers[$0][0] }, tokenizer: tokenizer)
            #expect(abs(one.metrics[0].value - 1 / Double(answers[0].count)) < 1e-12)
        }
    }

    @Test("by likelihood the same texts are asked, one value at a time", arguments: bothWays)
    func likelihood(_ task: EvaluationTask) throws {
        let prompt = try texts(task, 1600, count: 1)[0]
        let recorder = Recorder()
        let group = try groups(task) { ($0.lengths, $0.limit, $0.method) = ([1600], 1, .likelihood) }[0]
        #expect(group.method == .likelihood)
        let result = try group.evaluate(recorder, tokenizer: tokenizer)
        #expect(result.metrics.map(\.name) == ["acc", "exact_match"] && result.answers.isEmpty)
        let asked = try #require(recorder.prompts.first)
        #expect(asked.continuations.count == 10 * prompt.answers.count)
        let needles = needles(prompt.prompt)
        var golds: [String] = []
        for query in stride(from: 0, to: asked.continuations.count, by: 10) {
            let texts = try asked.continuations[query..<query + 10].map {
                try tokenizer.decode(
                    asked.context.dropFirst(tokenizer.textPrefix.count) + $0.tokens, skipSpecialTokens: false)
            }
            let choices = texts.map { String($0.split(separator: " ").last ?? "") }
            #expect(Set(choices).count == 10)
            let question = try #require(texts[0].firstMatch(of: /(?:number|uuid)s? for (\S+) mentioned/))
            let right = needles.filter { $0.key == question.1 && choices.contains($0.value) }.map(\.value)
            #expect(right.count == 1)
            golds += right
            // The values of other keys stand among the choices, as many as there is room for.
            let others = needles.filter { $0.key != question.1 }.map(\.value)
            #expect(choices.count { others.contains($0) } == min(9, others.count))
            let context = prompt.prompt.components(separatedBy: "\nWhat ")[0]
            #expect(texts.allSatisfy { $0.hasPrefix(context + "\nWhat ") })
        }
        #expect(golds == prompt.answers)
    }

    @Test("a text that is too short is refused with the length that is enough", arguments: tasks)
    func short(_ task: EvaluationTask) throws {
        do {
            _ = try texts(task, 40, count: 1)
            Issue.record("nothing was thrown")
        } catch EvaluationError.length(let name, let minimum, let found) {
            #expect(name == task.rawValue && found == 40)
            #expect(try texts(task, minimum, count: 5).count == 5)
        }
    }

    @Test("names, sets of them, and methods that a task does not have")
    func names() throws {
        #expect(EvaluationTask.named("niah_single") == [.needleSingle1, .needleSingle2, .needleSingle3])
        #expect(EvaluationTask.named("niah_multikey") == [.needleMultikey1, .needleMultikey2, .needleMultikey3])
        #expect(EvaluationTask.named("niah_single_2") == [.needleSingle2])
        #expect(EvaluationTask.named("variable_tracking") == [.variableTracking])
        #expect(EvaluationTask.named("niah") == nil && EvaluationTask.named("") == nil)
        for (task, method) in [(EvaluationTask.commonWords, EvaluationMethod.likelihood), (.recall, .generation)] {
            do {
                _ = try groups(task) { $0.method = method }
                Issue.record("nothing was thrown")
            } catch {
                #expect("\(error)".hasPrefix("\(task.rawValue): expected") && "\(error)".hasSuffix("found \(method)"))
            }
        }
    }

    @Test("the search for a length: at most the budget, nearly all of it, and few texts")
    func search() {
        for budget in [50, 700, 4000, 130_000] {
            for perPiece in [3, 7, 29] {
                var tried = 0
                let pieces = LengthSearch(budget: budget).pieces(from: 1) {
                    tried += 1
                    // Nearly even, as texts are.
                    return 20 + $0 * perPiece + $0 % 3 + $0 * $0 / 100_000
                }
                let found = pieces.map { 20 + $0 * perPiece + $0 % 3 + $0 * $0 / 100_000 } ?? 0
                #expect(found <= budget && found >= budget - perPiece - max(6, budget / 1024), "\(budget) \(perPiece)")
                #expect(tried <= 12, "\(tried)")
            }
        }
        #expect(LengthSearch(budget: 10).pieces(from: 3) { 4 * $0 } == nil)
        // Pieces without tokens come to an end.
        #expect(LengthSearch(budget: 10).pieces(from: 3) { _ in 0 } != nil)
    }
}

/// Continues each prompt with a text that is known before, word by word.
private final class Scribe: ContinuationScorer, TextContinuer {
    private(set) var prompts: [(tokens: [Int32], limit: Int)] = []
    /// What was written until it was enough.
    private(set) var texts: [String] = []
    private let text: (Int) -> String

    init(_ text: @escaping (Int) -> String) { self.text = text }

    func continuation(
        of prompt: [Int32], limit: Int, tokenizer: Tokenizer, until isEnough: (String) -> Bool,
        progress: () throws -> Void
    ) throws -> String {
        var written = ""
        for character in text(prompts.count) where !isEnough(written) { written.append(character) }
        prompts.append((prompt, limit))
        texts.append(written)
        return written
    }

    func scores(_ prompts: [Prompt], progress: () throws -> Void) throws -> [[ContinuationScore]] { [] }
}
