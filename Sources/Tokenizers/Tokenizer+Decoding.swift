extension Tokenizer {
    /// The text of token ids. Bytes that are no UTF-8 together become U+FFFD; ids without a token, such as those that fill
    /// up a vocabulary to a round size, stand for nothing.
    ///
    /// - Parameter skipSpecialTokens: leaves control tokens out.
    /// - Throws: ``TokenizerError/negativeID(_:)``.
    public func decode(_ ids: [Int32], skipSpecialTokens: Bool = true) throws -> String {
        var text: [UInt8] = []
        // Where the bytes of the current run of fallback tokens begin in `text`.
        var runStart: Int?
        func endRun() {
            guard let start = runStart else { return }
            if String(validating: text[start...], as: UTF8.self) == nil {
                text.replaceSubrange(
                    start..., with: Array(repeatElement([0xEF, 0xBF, 0xBD], count: text.count - start).joined()))
            }
            runStart = nil
        }
        var isFirst = true
        for id in ids {
            guard let bytes = try decodedBytes(of: id, skipSpecialTokens: skipSpecialTokens) else { continue }
            if isFallbackByte[Int(id)] {
                runStart = runStart ?? text.count
            } else {
                endRun()
            }
            text += isFirst ? firstBytes(of: id, bytes) : decoder.separator + bytes
            isFirst = false
        }
        endRun()
        let (byte, start, end) = decoder.stripped
        let leading = min(text.prefix { $0 == byte }.count, start)
        var rest = text[leading...]
        for _ in 0..<min(end, rest.count) where rest.last == byte { rest.removeLast() }
        return String(decoding: rest, as: UTF8.self)
    }

    /// The bytes that a token stands for behind other text; none for an id without a token.
    public func bytes(of id: Int32) -> [UInt8] { id < 0 ? [] : decodedTokens[Int(id)].map(Array.init) ?? [] }

    /// The bytes that a token stands for; nil when it stands for nothing.
    func decodedBytes(of id: Int32, skipSpecialTokens: Bool) throws -> ArraySlice<UInt8>? {
        guard id >= 0 else { throw TokenizerError.negativeID(id) }
        return skipSpecialTokens && isSpecialToken(id) ? nil : decodedTokens[Int(id)]
    }

    /// The bytes of a token at the beginning of a text.
    func firstBytes(of id: Int32, _ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        guard decoder.dropsFirstMarker, let token = vocabulary[Int(id)] else { return bytes }
        return (ByteSearch.replacing(Metaspace.marker, with: [], in: Array(token)) ?? [])[...]
    }
}
