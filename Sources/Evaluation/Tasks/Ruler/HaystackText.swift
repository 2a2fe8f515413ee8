import Support
import Tokenizers

/// A haystack with its needles: the same text whether it is answered by generation or by likelihood.
struct HaystackText {
    let form: NeedleForm
    let context: String
    /// Of the needles that the task hides.
    let keys: [String]
    /// By key.
    let values: [[String]]
    /// Indices of the keys that are asked for.
    let asked: [Int]
    /// Values of other needles in the haystack.
    let others: [String]
    /// Draws what else an example needs.
    var random: SplitMix64

    var prompt: String { form.opening + context + form.question(asked.map { keys[$0] }) }

    /// Tokens that may follow the prompt.
    static let generated = 128

    /// - Parameters:
    ///   - length: the most tokens of the prompt and of what is generated after it.
    ///   - random: all that an example depends on, but for the tokenizer.
    init(
        _ form: NeedleForm, task: EvaluationTask, length: Int, essay: EssayText, random: SplitMix64,
        tokenizer: Tokenizer
    ) throws {
        var random = random
        self.form = form
        var (newKeys, newValues) = (DistinctValues<String>(), DistinctValues<String>())
        let keys = (0..<form.keyCount).map { _ in newKeys.next { form.keys.random(&random) } }
        let values = keys.map { _ in
            (0..<form.valueCount).map { _ in newValues.next { form.values.random(&random) } }
        }
        let needles = zip(keys, values).flatMap { key, values in values.map { form.needle(key, $0) } }
            .shuffled(using: &random)
        let asked = Array(keys.indices.shuffled(using: &random).prefix(form.queryCount))
        let question = form.question(asked.map { keys[$0] })
        // The haystack of fewer pieces is the beginning of that of more.
        let start = random
        func haystack(_ count: Int) -> (context: String, others: [String]) {
            var (random, newKeys, newValues, others) = (start, newKeys, newValues, [String]())
            switch form.haystack {
            case .noise:
                let lines = [String](repeating: NeedleForm.noise, count: count)
                return (Self.hide(needles, inLines: lines, &random), [])
            case .needles:
                let lines = (0..<count).map { _ in
                    let key = newKeys.next { form.keys.random(&random) }
                    others.append(newValues.next { form.values.random(&random) })
                    return form.needle(key, others[others.count - 1])
                }
                return (Self.hide(needles, inLines: lines, &random), others)
            case .essay:
                return (Self.hide(needles, inSentences: essay.sentences(count), &random), [])
            }
        }
        func tokens(_ count: Int) throws -> Int {
            try tokenizer.encode(beginning: form.opening + haystack(count).context + question).count
        }
        let count = try LengthSearch(budget: length - Self.generated)
            .requirePieces(from: needles.count, task: task, generated: Self.generated, tokens: tokens)
        (context, others) = haystack(count)
        // Not where the haystack began: what is drawn from it has nothing to do with the haystack.
        self.random = SplitMix64(seed: random.next())
        (self.keys, self.values, self.asked) = (keys, values, asked)
    }

    /// Puts each needle before a line of its own.
    static func hide(_ needles: [String], inLines lines: [String], _ random: inout SplitMix64) -> String {
        var places = DistinctValues<Int>()
        let drawn = needles.map { _ in places.next { Int.random(in: lines.indices, using: &random) } }
        return joined(lines, needles, at: drawn.sorted(), separator: "\n")
    }

    /// Puts the needles at different ones of 40 depths from the beginning to the end.
    private static func hide(_ needles: [String], inSentences sentences: [String], _ random: inout SplitMix64) -> String
    {
        var depths = DistinctValues<Int>()
        let drawn = needles.map { _ in
            // Per cent, as whole numbers.
            (depths.next { Int.random(in: 0..<40, using: &random) } * 200 + 39) / 78
        }
        return joined(sentences, needles, at: drawn.sorted().map { sentences.count * $0 / 100 }, separator: " ")
    }

    /// - Parameter places: ascending; the needle stands before the piece of this index, or at the end.
    private static func joined(_ pieces: [String], _ needles: [String], at places: [Int], separator: String) -> String {
        var (result, next) = ([String](), 0)
        for index in 0...pieces.count {
            while next < needles.count, places[next] == index {
                result.append(needles[next])
                next += 1
            }
            if index < pieces.count { result.append(pieces[index]) }
        }
        return result.joined(separator: separator)
    }
}
