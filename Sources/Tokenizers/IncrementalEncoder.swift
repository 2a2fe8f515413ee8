/// Tokenises a text that arrives in pieces, with the ids of the whole text.
///
/// What has arrived is encoded up to the last space between a letter or digit and a letter, where nearly all tokenizers
/// begin a word whatever stands around; memory is constant then. Only text without such a place in ``limit`` bytes is cut
/// elsewhere; there the ids may differ from those of the whole text. A tokenizer whose words or tokens go over spaces gets
/// the whole text at its end.
public struct IncrementalEncoder {
    /// Bytes after which text is cut where it need not be safe.
    public static let limit = 1 << 16

    private let tokenizer: Tokenizer
    /// Whether text is cut before its end.
    private let cuts: Bool
    /// What has arrived and is not encoded.
    private var buffer: [UInt8] = []
    /// There is no safe place before this one.
    private var searched = 1
    private var isFirst: Bool
    /// Whether some bytes were not UTF-8, and read as U+FFFD.
    public private(set) var isRepaired = false

    /// - Parameter continues: whether other text stands before, so that nothing is put before this one.
    public init(_ tokenizer: Tokenizer, continues: Bool = false) {
        self.tokenizer = tokenizer
        // A tokenizer that cannot even split short texts says so when there is text.
        cuts = (try? tokenizer.cutsAtSpaces()) ?? false
        isFirst = !continues
    }

    /// Takes the next bytes of the text and returns the ids that are certain now.
    /// - Throws: As ``Tokenizer/encode(_:addSpecialTokens:)``.
    public mutating func push(_ bytes: some Sequence<UInt8>) throws -> [Int32] {
        buffer += bytes
        guard cuts else { return [] }
        var ids: [Int32] = []
        if let cut = lastSafeCut() { ids = try encode(cut) }
        while buffer.count > Self.limit { ids += try encode(textCut(buffer[...], limit: Self.limit)) }
        return ids
    }

    /// Returns the ids of what is left.
    public mutating func finish() throws -> [Int32] { try encode(buffer.count) }

    private mutating func encode(_ count: Int) throws -> [Int32] {
        var text = String(validating: buffer[..<count], as: UTF8.self)
        if text == nil {
            isRepaired = true
            text = String(decoding: buffer[..<count], as: UTF8.self)
        }
        defer { isFirst = false }
        buffer.removeFirst(count)
        searched = 1
        return try isFirst ? tokenizer.encode(beginning: text ?? "") : tokenizer.encode(continuing: text ?? "")
    }

    private mutating func lastSafeCut() -> Int? {
        let end = buffer.count - buffer.unfinishedUTF8
        let cut = buffer.withUnsafeBufferPointer { bytes -> Int? in
            // Invalid bytes could end the buffer early in the eyes of the scanner.
            guard UnsafeBufferPointer(rebasing: bytes[max(0, searched - 4)..<end]).contains(0x20) else { return nil }
            var position = end - 2
            while position >= searched {
                if bytes[position] == 0x20, isSafe(bytes, position, end) { return position }
                position -= 1
            }
            return nil
        }
        if cut == nil { searched = max(1, end - 1) }
        return cut
    }

    /// Whether the space at `position` stands between a letter or digit and a letter.
    private func isSafe(_ bytes: UnsafeBufferPointer<UInt8>, _ position: Int, _ end: Int) -> Bool {
        var start = position - 1
        while start > 0, position - start < 4, bytes[start] & 0xC0 == 0x80 { start -= 1 }
        guard let before = scalar(bytes, start..<position),
            !CharacterClass.of(before).isDisjoint(with: [.letter, .number])
        else {
            return false
        }
        var next = position + 2
        while next < end, next - position < 5, bytes[next] & 0xC0 == 0x80 { next += 1 }
        guard let after = scalar(bytes, position + 1..<next) else { return false }
        return CharacterClass.of(after).contains(.letter)
    }

    /// The one character that `range` holds; nil when it is not UTF-8.
    private func scalar(_ bytes: UnsafeBufferPointer<UInt8>, _ range: Range<Int>) -> UInt32? {
        let character = UnsafeBufferPointer(rebasing: bytes[range])
        guard character.firstInvalidUTF8 == nil else { return nil }
        let (value, end) = UTF8Text(bytes: character).scalar(at: 0)
        return end == character.count ? value : nil
    }
}
