import Tokenizers

/// Where the messages of a conversation end in the ids of its text, so that states are kept there.
enum MessageEnds {
    /// After the first message, which many conversations begin with, and before the last, in place of which another may be
    /// asked.
    /// - Parameters:
    ///   - count: messages of the conversation.
    ///   - text: all of it, and `tokens` its ids.
    ///   - render: the text of its first messages alone.
    static func find(
        _ count: Int, in text: String, _ tokens: [Int32], _ tokenizer: Tokenizer, _ render: (Int) throws -> String?
    ) -> [Int] {
        Set([1, count - 1]).filter { (1..<count).contains($0) }.compactMap { messages in
            // Of a template that writes them otherwise when they stand alone nothing is known.
            guard let beginning = try? render(messages), !beginning.isEmpty, text.utf8.starts(with: beginning.utf8)
            else { return nil }
            return place(of: beginning, in: text, tokens, tokenizer)
        }.sorted()
    }

    /// How many of `tokens` are those of `beginning`; nil where one goes over its end. The shorter side is looked at, as
    /// histories are long.
    private static func place(
        of beginning: String, in text: String, _ tokens: [Int32], _ tokenizer: Tokenizer
    ) -> Int? {
        let rest = String(decoding: text.utf8.dropFirst(beginning.utf8.count), as: UTF8.self)
        if beginning.utf8.count <= rest.utf8.count {
            guard let first = try? tokenizer.encode(beginning, addSpecialTokens: false) else { return nil }
            return tokens.starts(with: first) ? first.count : nil
        }
        guard let last = try? tokenizer.encode(continuing: rest), last.count < tokens.count else { return nil }
        return tokens.suffix(last.count).elementsEqual(last) ? tokens.count - last.count : nil
    }
}
