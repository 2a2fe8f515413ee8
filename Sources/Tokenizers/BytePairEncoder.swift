/// Byte-pair encoding of one word (Sennrich et al. 2016, arXiv 1508.07909), over bytes or over characters.
struct BytePairEncoder: WordEncoder {
    /// What a word is made of before any merge.
    enum Alphabet: Sendable, Equatable {
        /// Every byte is a token (GPT-2).
        case bytes
        /// Every character is a token (SentencePiece). One without a token becomes the tokens of its bytes, `<0x00>` to
        /// `<0xFF>`, if `byteFallback` is set and they all exist, and the unknown token otherwise; with `fusesUnknown`
        /// neighbouring unknown characters become one token.
        case characters(byteFallback: Bool, fusesUnknown: Bool)
    }

    let alphabet: Alphabet
    /// The tokens' bytes as they stand in text.
    let tokens: TokenTable
    let merges: MergeTable
    /// A word that is a token as a whole is taken as it is.
    let ignoresMerges: Bool
    let unknownID: Int32?
    /// The model names an unknown token that it does not have, which matters to text that needs it.
    let unknownIsMissing: Bool
    /// No merge joins anything to a `▁` behind it, so that text may be cut before every run of them.
    let separatesAtMarker: Bool
    /// The same of spaces, however the vocabulary writes them.
    let separatesAtSpaces: Bool
    /// The ids of the 256 bytes, -1 where there is none: of the bytes themselves, or of their fallback tokens.
    let byteIDs: [Int32]

    /// Appends the ids of `word` to `ids`. Characters and bytes without any token are left out, as Hugging Face does.
    /// - Throws: ``TokenizerError/limit(file:component:reason:)`` for such text where the unknown token is missing.
    func encode(_ word: UnsafeBufferPointer<UInt8>, into ids: inout [Int32], scratch: inout BytePairScratch) throws {
        if ignoresMerges, let id = tokens.id(of: word) {
            ids.append(id)
            return
        }
        scratch.symbols.removeAll(keepingCapacity: true)
        try split(word, into: &scratch.symbols)
        if scratch.symbols.count > BytePairScratch.longWord {
            mergeLong(&scratch)
        } else if scratch.symbols.count > 1 {
            mergeShort(&scratch)
        }
        ids.append(contentsOf: scratch.symbols)
    }

    private func split(_ word: UnsafeBufferPointer<UInt8>, into symbols: inout [Int32]) throws {
        switch alphabet {
        case .bytes:
            for byte in word {
                let id = byteIDs[Int(byte)]
                if id >= 0 { symbols.append(id) } else if let unknownID = try unknown() { symbols.append(unknownID) }
            }
        case .characters(let byteFallback, let fusesUnknown):
            let text = UTF8Text(bytes: word)
            var position = 0
            // An unknown token that has not been written yet, because the next character may be fused with it.
            var pendingUnknown = false
            while position < word.count {
                let end = text.scalar(at: position).end
                let character = UnsafeBufferPointer(rebasing: word[position..<end])
                position = end
                if let id = tokens.id(of: character) {
                    if pendingUnknown, let unknownID { symbols.append(unknownID) }
                    pendingUnknown = false
                    symbols.append(id)
                } else if byteFallback, character.allSatisfy({ byteIDs[Int($0)] >= 0 }) {
                    for byte in character { symbols.append(byteIDs[Int(byte)]) }
                } else if let unknownID = try unknown() {
                    if pendingUnknown, !fusesUnknown { symbols.append(unknownID) }
                    pendingUnknown = true
                }
            }
            if pendingUnknown, let unknownID { symbols.append(unknownID) }
        }
    }

    /// The token of text that has no other; nil when such text is left out.
    private func unknown() throws -> Int32? {
        guard !unknownIsMissing else {
            throw TokenizerError.limit(
                file: "tokenizer.json", component: "model.unk_token",
                reason: "it is not in the vocabulary, and the text has a character without a token")
        }
        return unknownID
    }

    /// Looks for the best merge among all pairs after every merge: quadratic, and fast for words of ordinary length.
    private func mergeShort(_ scratch: inout BytePairScratch) {
        scratch.merges.removeAll(keepingCapacity: true)
        var count = scratch.symbols.count
        for i in 0..<(count - 1) {
            scratch.merges.append(merges[scratch.symbols[i], scratch.symbols[i + 1]] ?? BytePairScratch.none)
        }
        scratch.symbols.withUnsafeMutableBufferPointer { symbols in
            scratch.merges.withUnsafeMutableBufferPointer { pairs in
                while count > 1 {
                    var best = 0
                    for i in 0..<(count - 1) where pairs[i].rank < pairs[best].rank { best = i }
                    guard pairs[best].id >= 0 else { break }
                    symbols[best] = pairs[best].id
                    for i in (best + 1)..<(count - 1) { symbols[i] = symbols[i + 1] }
                    for i in best..<(count - 2) { pairs[i] = pairs[i + 1] }
                    count -= 1
                    if best > 0 { pairs[best - 1] = merges[symbols[best - 1], symbols[best]] ?? BytePairScratch.none }
                    if best < count - 1 {
                        pairs[best] = merges[symbols[best], symbols[best + 1]] ?? BytePairScratch.none
                    }
                }
            }
        }
        scratch.symbols.removeLast(scratch.symbols.count - count)
    }
}
