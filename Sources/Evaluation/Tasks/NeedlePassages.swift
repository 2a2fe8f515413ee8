import Support
import Tokenizers

/// A pass key in the middle of a text about something else, asked for at its end (Mohtashami and Jaggi 2023,
/// arXiv 2305.16300, section 4.2).
struct NeedlePassages {
    /// The most tokens of the text, the pass key included.
    let length: Int
    /// Where the pass key stands: 0 is the beginning and 100 the end.
    let depth: Int
    let filler: FillerText
    let seed: UInt64
    private static let choices = 10
    private static let minimumLength = 64

    func passage(_ index: Int, tokenizer: Tokenizer) throws -> Passage {
        guard length >= Self.minimumLength else {
            throw EvaluationError.length(task: "needle", minimum: Self.minimumLength, found: length)
        }
        func count(_ text: String) throws -> Int { try tokenizer.encode(text, addSpecialTokens: false).count }
        // The same text and pass key at every depth.
        var random = SplitMix64(seed: seed, stream: "needle/\(length)/\(index)")
        var keys: [String] = []
        while keys.count < Self.choices {
            let key = DigitCode.random(&random)
            if !keys.contains(key) { keys.append(key) }
        }
        let needle = " The pass key is \(keys[0])."
        var pieces: [(text: String, tokens: Int)] = []
        var left = try length - count(needle)
        for piece in filler.pieces(from: Int.random(in: filler.pieces.indices, using: &random)) {
            let tokens = max(1, try count(piece))
            if tokens > left { break }
            left -= tokens
            pieces.append((piece, tokens))
        }
        let before = pieces.reduce(0) { $0 + $1.tokens } * depth / 100
        var (context, read, placed) = ("", 0, false)
        for (text, tokens) in pieces {
            if !placed, read >= before {
                context += needle
                placed = true
            }
            context += text
            read += tokens
        }
        if !placed { context += needle }
        let query = DigitCode.query(
            "\n\nWhat is the pass key? The pass key is", gold: keys[0], others: Array(keys.dropFirst()), &random)
        return Passage(context: context, queries: [query])
    }
}
