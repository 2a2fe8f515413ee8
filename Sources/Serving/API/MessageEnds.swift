import Tokenizers

/// Where the messages of a conversation end in the ids of its text, so that states are kept there.
enum MessageEnds {
    /// After the first message, which many conversations begin with, and before the last, in place of which another may be
    /// asked.
    /// - Parameters:
    ///   - count: messages of the conversation.
    ///   - render: the text of its first messages alone.
    static func find(
        _ count: Int, in tokens: [Int32], _ tokenizer: Tokenizer, _ render: (Int) throws -> String?
    ) -> [Int] {
        Set([1, count - 1]).filter { (1..<count).contains($0) }.compactMap { messages in
            // Of a template that writes them otherwise when they stand alone nothing is known.
            guard let text = try? render(messages), !text.isEmpty,
                let beginning = try? tokenizer.encode(text, addSpecialTokens: false), tokens.starts(with: beginning)
            else { return nil }
            return beginning.count
        }.sorted()
    }
}
