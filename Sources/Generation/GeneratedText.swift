import Tokenizers

/// Tokens as they are picked, turned into text that is certain: whole characters, cut just before a stop string.
public struct GeneratedText: Sendable {
    private var decoder: StreamingDecoder
    private var strings: StopStrings

    /// An empty text.
    /// - Parameters:
    ///   - tokenizer: turns the tokens into text.
    ///   - strings: end the text and are not part of it.
    public init(_ tokenizer: Tokenizer, strings: StopStrings) {
        decoder = StreamingDecoder(tokenizer, continues: true)
        self.strings = strings
    }

    /// Whether a stop string was found: the text has ended.
    public var isStopped: Bool { strings.isReached }

    /// Takes the next token and returns the text that is certain now, which may be empty.
    public mutating func push(_ token: Int32) throws -> String { strings.push(try decoder.push(token)) }

    /// Returns what was held back, when no token follows.
    public mutating func finish() -> String { strings.push(decoder.finish()) + strings.finish() }
}
