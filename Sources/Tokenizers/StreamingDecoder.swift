/// Decodes a text token by token, as a model writes it, and never gives out part of a character.
///
/// The pieces together are what ``Tokenizer/decode(_:skipSpecialTokens:)`` gives, except that of a run of fallback bytes
/// that is not UTF-8 the well-formed characters are kept, and that the end of the text is not stripped.
public struct StreamingDecoder: Sendable {
    private let tokenizer: Tokenizer
    private let skipsSpecialTokens: Bool
    /// Bytes that have not been given out: the beginning of a character.
    private var pending: [UInt8] = []
    private var isFirst = true
    /// How many stripped bytes may still come at the beginning.
    private var stripsLeft: Int

    public init(_ tokenizer: Tokenizer, skipSpecialTokens: Bool = true) {
        self.tokenizer = tokenizer
        skipsSpecialTokens = skipSpecialTokens
        stripsLeft = tokenizer.decoder.stripped.start
    }

    /// Takes the next token and returns the text that is certain now, which may be empty.
    ///
    /// - Throws: ``TokenizerError/unknownID(id:vocabularySize:)``; the decoder is as it was before.
    public mutating func push(_ id: Int32) throws -> String {
        guard let bytes = tokenizer.decodedTokens[Int(id)] else {
            throw TokenizerError.unknownID(id: id, vocabularySize: tokenizer.vocabularySize)
        }
        if skipsSpecialTokens, tokenizer.isSpecialToken(id) { return "" }
        for byte in isFirst ? tokenizer.firstBytes(of: id, bytes) : bytes {
            if stripsLeft > 0, byte == tokenizer.decoder.stripped.byte {
                stripsLeft -= 1
            } else {
                stripsLeft = 0
                pending.append(byte)
            }
        }
        isFirst = false
        let complete = pending.count - unfinishedLength
        defer { pending.removeFirst(complete) }
        return String(decoding: pending[..<complete], as: UTF8.self)
    }

    /// Returns what is left: U+FFFD if the text ends inside a character, and nothing otherwise.
    public mutating func finish() -> String {
        defer { pending = [] }
        return String(decoding: pending, as: UTF8.self)
    }

    /// How many bytes at the end may be the beginning of a character.
    private var unfinishedLength: Int {
        for length in 1...3 where length <= pending.count {
            let start = pending.count - length
            let first = pending[start]
            if first & 0xC0 == 0x80 { continue }
            let (needed, second): (Int, ClosedRange<UInt8>)
            switch first {
            case 0xC2...0xDF: (needed, second) = (2, 0x80...0xBF)
            case 0xE0: (needed, second) = (3, 0xA0...0xBF)
            case 0xED: (needed, second) = (3, 0x80...0x9F)
            case 0xE1...0xEF: (needed, second) = (3, 0x80...0xBF)
            case 0xF0: (needed, second) = (4, 0x90...0xBF)
            case 0xF1...0xF3: (needed, second) = (4, 0x80...0xBF)
            case 0xF4: (needed, second) = (4, 0x80...0x8F)
            default: return 0
            }
            return length < needed && (length == 1 || second ~= pending[start + 1]) ? length : 0
        }
        return 0
    }
}
