import Support
import Tokenizers

/// RULER's needles in a haystack: a number, or several, hidden in a long text under keys that are asked for at its end.
struct HaystackPassages {
    let task: EvaluationTask
    let form: NeedleForm
    /// The most tokens of the prompt and of what is generated after it.
    let length: Int
    let essay: EssayText
    let seed: UInt64
    private static let choices = 10

    func completion(_ index: Int, tokenizer: Tokenizer) throws -> Completion {
        let text = try text(index, tokenizer: tokenizer)
        return Completion(
            prompt: text.prompt, answers: text.asked.flatMap { text.values[$0] }, limit: HaystackText.generated)
    }

    /// A query for every value, the keys asked for one at a time. The other choices are values of the same form: those of
    /// other keys in the text first, so that only the binding of key and value tells them apart.
    func passage(_ index: Int, tokenizer: Tokenizer) throws -> Passage {
        var text = try text(index, tokenizer: tokenizer)
        let queries = text.asked.flatMap { asked in
            text.values[asked].map { gold in
                let bound = text.keys.indices.filter { $0 != asked }.flatMap { text.values[$0] } + text.others
                var others = Array(bound.shuffled(using: &text.random).prefix(Self.choices - 1))
                var new = DistinctValues(but: text.values.flatMap { $0 } + others)
                while others.count < Self.choices - 1 { others.append(new.next { form.values.random(&text.random) }) }
                return DigitCode.query(form.question([text.keys[asked]]), gold: gold, others: others, &text.random)
            }
        }
        return Passage(context: form.opening + text.context, queries: queries)
    }

    private func text(_ index: Int, tokenizer: Tokenizer) throws -> HaystackText {
        try HaystackText(
            form, task: task, length: length, essay: essay,
            random: SplitMix64(seed: seed, stream: "\(task.rawValue)/\(length)/\(index)"), tokenizer: tokenizer)
    }
}
