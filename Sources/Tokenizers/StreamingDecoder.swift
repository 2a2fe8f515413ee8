/// Decodes a text token by token, as a model writes it, and never gives out part of a character.
///
/// The pieces together are what ``Tokenizer/decode(_:skipSpecialTokens:)`` gives, except that of a run of fallback bytes
/// that is not UTF-8 the well-formed characters are kept, and that the end of the text is not stripped.
public struct StreamingDecoder: Sendable {
    private let tokenizer: Tokenizer
    private let skipsSpecialTokens: Bool
    /// Bytes that have not been given out: the beginning of a character.
    private var pending: [UInt8] = []
    private var isFirst: Bool
    /// How many stripped bytes may still come at the beginning.
    private var stripsLeft: Int

    /// - Parameter continues: whether other text stands before, so that the first token keeps its leading space.
    public init(_ tokenizer: Tokenizer, skipSpecialTokens: Bool = true, continues: Bool = false) {
        self.tokenizer = tokenizer
        skipsSpecialTokens = skipSpecialTokens
        isFirst = !continues
        stripsLeft = continues ? 0 : tokenizer.decoder.stripped.start
    }

    /// Takes the next token and returns the text that is certain now, which may be empty.
    ///
    /// - Throws: ``TokenizerError/negativeID(_:)``; the decoder is as it was before.
    public mutating func push(_ id: Int32) throws -> String {
        guard let bytes = try tokenizer.decodedBytes(of: id, skipSpecialTokens: skipsSpecialTokens) else { return "" }
        for byte in isFirst ? tokenizer.firstBytes(of: id, bytes) : tokenizer.decoder.separator + bytes {
            if stripsLeft > 0, byte == tokenizer.decoder.stripped.byte {
                stripsLeft -= 1
            } else {
                stripsLeft = 0
                pending.append(byte)
            }
        }
        isFirst = false
        let complete = pending.count - pending.unfinishedUTF8
        defer { pending.removeFirst(complete) }
        return String(decoding: pending[..<complete], as: UTF8.self)
    }

    /// Returns what is left: U+FFFD if the text ends inside a character, and nothing otherwise.
    public mutating func finish() -> String {
        defer { pending = [] }
        return String(decoding: pending, as: UTF8.self)
    }
}
