/// The regular expressions by which known tokenizers split text, as scanners written by hand.
///
/// Every pattern covers the whole text: each match ends where the next one begins.
enum WordPattern: Sendable, Equatable {
    /// GPT-2: contractions, letters, numbers and other characters with one leading space each, white space.
    case gpt2
    /// The pattern of cl100k and Llama 3, with at most `maximumDigits` digits in a match (3 there, 1 for Qwen2).
    case tiktoken(maximumDigits: Int)

    /// The pattern that is written so in tokenizer.json; nil when there is no scanner for it.
    init?(regularExpression: String) {
        switch regularExpression {
        case Self.gpt2.regularExpression, #"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#:
            self = .gpt2
        case Self.tiktoken(maximumDigits: 3).regularExpression: self = .tiktoken(maximumDigits: 3)
        case Self.tiktoken(maximumDigits: 1).regularExpression: self = .tiktoken(maximumDigits: 1)
        default: return nil
        }
    }

    /// The pattern as tokenizer.json writes it.
    var regularExpression: String {
        switch self {
        case .gpt2: #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#
        case .tiktoken(let maximumDigits):
            #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"#
                + (maximumDigits > 1 ? "{1,\(maximumDigits)}" : "")
                + #"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
        }
    }

    /// The end of the match that begins at `position`, which must be below `limit`.
    @inline(__always)
    func endOfMatch(in text: UTF8Text, from position: Int, limit: Int) -> Int {
        switch self {
        case .gpt2: Self.gpt2Match(text, position, limit)
        case .tiktoken(let maximumDigits): Self.tiktokenMatch(text, position, limit, maximumDigits)
        }
    }

    private static func gpt2Match(_ text: UTF8Text, _ position: Int, _ limit: Int) -> Int {
        if text[position] == UInt8(ascii: "'"),
            let end = contraction(text, position, limit, ignoringCase: false)
        {
            return end
        }
        var (value, end) = text.characterClass(at: position)
        if text[position] == 0x20, end < limit {
            let (second, secondEnd) = text.characterClass(at: end)
            if !second.contains(.space) { (value, end) = (second, secondEnd) }
        }
        if value.contains(.letter) { return text.endOfRun(from: end, limit: limit) { $0.contains(.letter) } }
        if value.contains(.number) { return text.endOfRun(from: end, limit: limit) { $0.contains(.number) } }
        if value.contains(.space) { return spaces(text, position, limit) }
        return text.endOfRun(from: end, limit: limit) { $0.isDisjoint(with: [.letter, .number, .space]) }
    }

    private static func tiktokenMatch(_ text: UTF8Text, _ position: Int, _ limit: Int, _ maximumDigits: Int) -> Int {
        let first = text[position]
        if first == UInt8(ascii: "'"), let end = contraction(text, position, limit, ignoringCase: true) { return end }
        let (value, end) = text.characterClass(at: position)
        if value.contains(.letter) { return text.endOfRun(from: end, limit: limit) { $0.contains(.letter) } }
        if value.contains(.number) {
            var end = end
            for _ in 1..<maximumDigits where end < limit {
                let (next, nextEnd) = text.characterClass(at: end)
                guard next.contains(.number) else { break }
                end = nextEnd
            }
            return end
        }
        let isNewline = first == 0x0A || first == 0x0D
        if end < limit, !isNewline {
            let (second, secondEnd) = text.characterClass(at: end)
            if second.contains(.letter) {
                return text.endOfRun(from: secondEnd, limit: limit) { $0.contains(.letter) }
            }
            if first == 0x20, second.isDisjoint(with: [.letter, .number, .space]) {
                return others(text, secondEnd, limit)
            }
        }
        if value.contains(.space) {
            let end = text.endOfRun(from: end, limit: limit) { $0.contains(.space) }
            var lastNewline = end
            while lastNewline > position, text[lastNewline - 1] != 0x0A, text[lastNewline - 1] != 0x0D {
                lastNewline -= 1
            }
            return lastNewline > position ? lastNewline : spaces(text, position, limit)
        }
        return others(text, end, limit)
    }

    /// The rest of a run of characters that are no letters, numbers or spaces, with the line ends behind it.
    private static func others(_ text: UTF8Text, _ position: Int, _ limit: Int) -> Int {
        var end = text.endOfRun(from: position, limit: limit) { $0.isDisjoint(with: [.letter, .number, .space]) }
        while end < limit, text[end] == 0x0A || text[end] == 0x0D { end += 1 }
        return end
    }

    /// `\s+(?!\S)|\s+`: a run of white space, without its last character when something else follows.
    private static func spaces(_ text: UTF8Text, _ position: Int, _ limit: Int) -> Int {
        let end = text.endOfRun(from: position, limit: limit) { $0.contains(.space) }
        if end == limit { return end }
        let last = text.start(before: end)
        return last > position ? last : end
    }

    /// The end of one of 's 't 're 've 'm 'll 'd, whose apostrophe is at `position`.
    private static func contraction(_ text: UTF8Text, _ position: Int, _ limit: Int, ignoringCase: Bool) -> Int? {
        let fold: UInt8 = ignoringCase ? 0x20 : 0
        guard position + 1 < limit else { return nil }
        let first = text[position + 1] | fold
        let second = position + 2 < limit ? text[position + 2] | fold : 0
        switch (first, second) {
        case (UInt8(ascii: "s"), _), (UInt8(ascii: "t"), _), (UInt8(ascii: "m"), _), (UInt8(ascii: "d"), _):
            return position + 2
        case (UInt8(ascii: "r"), UInt8(ascii: "e")), (UInt8(ascii: "v"), UInt8(ascii: "e")),
            (UInt8(ascii: "l"), UInt8(ascii: "l")):
            return position + 3
        default:
            // The long s, U+017F, is a lower case s.
            return ignoringCase && position + 2 < limit && text[position + 1] == 0xC5 && text[position + 2] == 0xBF
                ? position + 3 : nil
        }
    }
}
