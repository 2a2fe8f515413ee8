extension Tokenizer {
    /// The text of token ids. Bytes that are no UTF-8 together become U+FFFD.
    ///
    /// - Parameter skipSpecialTokens: leaves control tokens out.
    /// - Throws: ``TokenizerError/unknownID(id:vocabularySize:)`` for an id without a token.
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
            guard let bytes = decodedTokens[Int(id)] else {
                throw TokenizerError.unknownID(id: id, vocabularySize: vocabularySize)
            }
            if skipSpecialTokens, isSpecial[Int(id)] { continue }
            if isFallbackByte[Int(id)] {
                runStart = runStart ?? text.count
            } else {
                endRun()
            }
            text += isFirst ? firstBytes(of: id, bytes) : bytes
            isFirst = false
        }
        endRun()
        let (byte, start, end) = decoder.stripped
        let leading = min(text.prefix { $0 == byte }.count, start)
        var rest = text[leading...]
        for _ in 0..<min(end, rest.count) where rest.last == byte { rest.removeLast() }
        return String(decoding: rest, as: UTF8.self)
    }

    /// The bytes of a token at the beginning of a text.
    func firstBytes(of id: Int32, _ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        guard decoder.dropsFirstMarker, let token = vocabulary[Int(id)] else { return bytes }
        return (ByteSearch.replacing(Metaspace.marker, with: [], in: Array(token)) ?? [])[...]
    }
}
