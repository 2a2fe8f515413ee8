import Tokenizers

/// The tokens of a vocabulary as constraints see them: by the bytes that they stand for behind other text. Special tokens, and
/// those that stand for nothing, are never generated under a constraint.
public final class ConstraintVocabulary: Sendable {
    /// One more than the largest token id.
    public let size: Int
    /// Tokens that are whole characters, none of which a JSON string must escape, by their number of characters: `plain[c]` are
    /// those of 1 to c.
    let plain: [TokenMask]
    /// The same tokens.
    let plainTrie: TokenTrie
    /// All others.
    let otherTrie: TokenTrie
    private let texts: [[UInt8]]

    /// Tokens of more characters are not counted as plain.
    private static let mostCharacters = 64

    /// The vocabulary of `tokenizer`.
    public convenience init(_ tokenizer: Tokenizer) {
        self.init(
            (0..<Int32(clamping: tokenizer.vocabularySize)).map { id in
                tokenizer.isSpecialToken(id) ? [] : tokenizer.bytes(of: id)
            })
    }

    /// A vocabulary of tokens with these bytes; none for a token that is never generated.
    init(_ texts: [[UInt8]]) {
        (self.texts, size) = (texts, texts.count)
        var counted: [(token: Int32, characters: Int)] = []
        var (plainEntries, others) = ([(token: Int32, bytes: [UInt8])](), [(token: Int32, bytes: [UInt8])]())
        for (id, text) in texts.enumerated() where !text.isEmpty {
            let isPlain = text.allSatisfy { $0 >= 0x20 && $0 != 0x22 && $0 != 0x5C }
            if isPlain, let string = String(validating: text, as: UTF8.self),
                string.unicodeScalars.count <= Self.mostCharacters
            {
                counted.append((Int32(id), string.unicodeScalars.count))
                plainEntries.append((Int32(id), text))
            } else {
                others.append((Int32(id), text))
            }
        }
        var masks = [TokenMask](
            repeating: TokenMask(vocabularySize: texts.count), count: (counted.map(\.characters).max() ?? 0) + 1)
        for (token, characters) in counted { masks[characters][token] = true }
        for index in masks.indices.dropFirst() { masks[index].formUnion(masks[index - 1]) }
        (plain, plainTrie, otherTrie) = (masks, TokenTrie(plainEntries), TokenTrie(others))
    }

    /// The bytes of a token; none for one that is never generated.
    func bytes(of token: Int32) -> [UInt8] { texts.indices.contains(Int(token)) ? texts[Int(token)] : [] }
}
