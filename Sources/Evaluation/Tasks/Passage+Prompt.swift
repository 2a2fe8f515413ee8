import Tokenizers

extension Passage {
    /// The passage as tokens, the continuations of all queries one after the other. A continuation is what the tokens of
    /// the whole text have more than those of the text before it, without the white space at its end: the definition of
    /// lm-evaluation-harness (`TemplateLM._encode_pair`), which begins a text with a token (BOS) where the tokenizer does, as here.
    /// - Returns: nil when the context or a continuation has no token.
    func prompt(_ tokenizer: Tokenizer) throws -> Prompt? {
        func count(_ text: String) throws -> Int { try Self.tokens(text, tokenizer).count }
        let context = try Self.tokens(self.context, tokenizer)
        var continuations: [Prompt.Continuation] = []
        for query in queries {
            let asked = query.question.isEmpty ? context.count : try count(self.context + query.question)
            for choice in query.choices {
                let whole = try tokenizer.encode(beginning: self.context + query.question + choice)
                guard whole.count > asked else { return nil }
                continuations.append(
                    Prompt.Continuation(tokens: Array(whole.dropFirst(context.count)), scored: whole.count - asked))
            }
        }
        return context.count > tokenizer.textPrefix.count
            ? Prompt(context: context, continuations: continuations) : nil
    }

    private static func tokens(_ text: String, _ tokenizer: Tokenizer) throws -> [Int32] {
        let end = text.lastIndex { !$0.isWhitespace }.map { text.index(after: $0) } ?? text.startIndex
        return try tokenizer.encode(beginning: String(text[..<end]))
    }
}
