import Support
import Tokenizers

/// RULER's variable tracking: a chain of assignments, each from the one before, scattered over a text; all variables that
/// hold its value are asked for. A short example with its answer stands before it (Hsieh et al. 2024, arXiv 2404.06654,
/// section 3.2 and appendix B).
struct VariableTracking {
    /// The most tokens of the prompt and of what is generated after it.
    let length: Int
    let seed: UInt64
    private static let (hops, generated, exampleLength) = (4, 30, 500)

    func completion(_ index: Int, tokenizer: Tokenizer) throws -> Completion {
        var random = SplitMix64(seed: seed, stream: "variable_tracking/\(length)/\(index)")
        func count(_ text: String) throws -> Int { try tokenizer.encode(beginning: text).count }
        let shown = Chain(letters: 3, &random)
        let chain = Chain(letters: 5, &random)
        let start = random
        // Nothing is generated after the example: its length is that of its text.
        let exampleNoise =
            try LengthSearch(budget: Self.exampleLength)
            .pieces(from: shown.statements.count) { try count(shown.text(noise: $0, start)) } ?? shown.statements.count
        let example = shown.text(noise: exampleNoise, start) + " " + shown.names.joined(separator: " ") + "\n"
        func prompt(_ noise: Int) -> String { example + "\n" + chain.text(noise: noise, start) }
        let noise = try LengthSearch(budget: length - Self.generated).requirePieces(
            from: chain.statements.count, task: .variableTracking, generated: Self.generated
        ) { try count(prompt($0)) }
        return Completion(prompt: prompt(noise), answers: chain.names, limit: Self.generated)
    }

    private struct Chain {
        let names: [String]
        let value: Int

        init(letters: Int, _ random: inout SplitMix64) {
            var new = DistinctValues<String>()
            names = (0...VariableTracking.hops).map { _ in
                new.next { Vocabulary.letters(letters, of: "ABCDEFGHIJKLMNOPQRSTUVWXYZ", &random) }
            }
            value = Int.random(in: 10_000...99_998, using: &random)
        }

        /// In the order in which they stand in a text.
        var statements: [String] {
            ["VAR \(names[0]) = \(value)"] + zip(names, names.dropFirst()).map { "VAR \($1) = VAR \($0) " }
        }

        /// The question and the words with which its answer begins, after `noise` lines with the chain among them.
        func text(noise: Int, _ random: SplitMix64) -> String {
            var random = random
            let lines = [String](repeating: NeedleForm.noise, count: noise)
            return "Memorize and track the chain(s) of variable assignment hidden in the following text.\n\n"
                + HaystackText.hide(statements, inLines: lines, &random)
                + "\nQuestion: Find all variables that are assigned the value \(value) in the text above."
                + " Answer: According to the chain(s) of variable assignment in the text above, "
                + "\(names.count) variables are assigned the value \(value), they are: "
        }
    }
}
