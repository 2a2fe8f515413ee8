/// The properties of a code point that splitting text into words depends on.
///
/// The table behind ``of(_:)`` follows the Unicode versions of the Hugging Face `tokenizers` package, not Swift's.
struct CharacterClass: OptionSet, Sendable {
    let rawValue: UInt8

    /// General category L.
    static let letter = CharacterClass(rawValue: 1)
    /// General category N, as regular expressions see it.
    static let number = CharacterClass(rawValue: 2)
    /// White space.
    static let space = CharacterClass(rawValue: 4)
    /// General category N, as the `Digits` pre-tokeniser sees it.
    static let numeric = CharacterClass(rawValue: 8)
    /// A character of a word (`\w`), for added tokens that must stand alone.
    static let word = CharacterClass(rawValue: 16)
    /// NFC may change this character, or the one before it because of this one.
    static let composing = CharacterClass(rawValue: 32)
    /// Punctuation, as the `Punctuation` pre-tokeniser sees it.
    static let punctuation = CharacterClass(rawValue: 64)
    /// NFD, NFKD or NFKC may change this character, or the one before it because of this one.
    static let decomposing = CharacterClass(rawValue: 128)

    /// One class per code point below the last range; everything above is in the last range.
    private static let table: [UInt8] = {
        var table: [UInt8] = []
        var current: UInt8 = 0
        for range in ranges {
            table.append(contentsOf: repeatElement(current, count: Int(range >> 8) - table.count))
            current = UInt8(truncatingIfNeeded: range)
        }
        table.append(current)
        return table
    }()

    /// The class of a code point.
    @inline(__always)
    static func of(_ scalar: UInt32) -> CharacterClass {
        CharacterClass(rawValue: table.withUnsafeBufferPointer { $0[min(Int(scalar), $0.count - 1)] })
    }
}
