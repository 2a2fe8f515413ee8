/// The encoding of one text, with the memory it reuses from word to word.
struct EncodingPass {
    let tokenizer: Tokenizer
    let cache: WordCache
    var ids: [Int32] = []
    private var scratch = BytePairScratch()
    /// Whether the text is written in ``ByteAlphabet`` at the moment.
    private var isMapped = false

    init(tokenizer: Tokenizer, cache: WordCache) {
        self.tokenizer = tokenizer
        self.cache = cache
    }

    /// Finds the added tokens, normalises what stands between them, and encodes that.
    /// - Parameter continues: whether other text stands before, so that nothing is put before this one.
    /// - Throws: ``TokenizerError/limit(file:component:reason:)``.
    mutating func encode(_ text: UTF8Text, continues: Bool = false) throws {
        var limit = Normalizer.limit(text.bytes.count)
        for piece in try tokenizer.matchers.original.pieces(of: text) {
            switch piece {
            case .token(let id): ids.append(id)
            case .text(let range):
                let isContinued = continues && range.lowerBound == 0
                let isFirst = range.lowerBound == 0 && !continues
                if tokenizer.normalizers.isEmpty {
                    try encodeNormalized(UTF8Text(bytes: .init(rebasing: text.bytes[range])), isFirst: isFirst)
                } else {
                    var bytes = Array(text.bytes[range])
                    try Normalizer.apply(tokenizer.normalizers, to: &bytes, limit: limit, continues: isContinued)
                    limit -= bytes.count
                    try bytes.withUnsafeBufferPointer { try encodeNormalized(UTF8Text(bytes: $0), isFirst: isFirst) }
                }
            }
        }
    }

    private mutating func encodeNormalized(_ text: UTF8Text, isFirst: Bool) throws {
        for piece in try tokenizer.matchers.normalized.pieces(of: text) {
            switch piece {
            case .token(let id): ids.append(id)
            case .text(let range): try split(text, range, step: 0, isFirst: isFirst && range.lowerBound == 0)
            }
        }
    }

    /// Applies the pre-tokeniser's steps from `step` on to a range of the text, and encodes the words.
    private mutating func split(_ text: UTF8Text, _ range: Range<Int>, step: Int, isFirst: Bool) throws {
        guard step < tokenizer.preTokenizer.steps.count else { return try encodeWord(text, range) }
        var start = range.lowerBound
        switch tokenizer.preTokenizer.steps[step] {
        case .words(let pattern):
            let isLast = step + 1 == tokenizer.preTokenizer.steps.count
            while start < range.upperBound {
                let end = pattern.endOfMatch(in: text, from: start, limit: range.upperBound)
                if isLast {
                    try encodeWord(text, start..<end)
                } else {
                    try split(text, start..<end, step: step + 1, isFirst: isFirst && start == range.lowerBound)
                }
                start = end
            }
        case .digits(let individual):
            while start < range.upperBound {
                let (first, firstEnd) = text.characterClass(at: start)
                let isDigit = first.contains(.numeric)
                let end =
                    isDigit && individual
                    ? firstEnd
                    : text.endOfRun(from: firstEnd, limit: range.upperBound) { $0.contains(.numeric) == isDigit }
                try split(text, start..<end, step: step + 1, isFirst: isFirst && start == range.lowerBound)
                start = end
            }
        case .split(let splitting):
            for piece in try splitting.pieces(of: text, range) where piece.length > 0 {
                let end = start + piece.length
                if piece.isKept {
                    try split(text, start..<end, step: step + 1, isFirst: isFirst && start == range.lowerBound)
                }
                start = end
            }
        case .spacePrefix:
            guard text[start] != 0x20 else { return try split(text, range, step: step + 1, isFirst: isFirst) }
            try splitCopy([0x20] + text.bytes[range], step: step + 1, isFirst: isFirst)
        case .byteAlphabet:
            isMapped = true
            defer { isMapped = false }
            try splitCopy(ByteAlphabet.encode(text.bytes[range]), step: step + 1, isFirst: isFirst)
        case .metaspace(let metaspace):
            try splitMetaspace(metaspace, Array(text.bytes[range]), step: step, isFirst: isFirst)
        }
    }

    private mutating func splitCopy(_ bytes: [UInt8], step: Int, isFirst: Bool) throws {
        try bytes.withUnsafeBufferPointer {
            try split(UTF8Text(bytes: $0), 0..<$0.count, step: step, isFirst: isFirst)
        }
    }

    private mutating func splitMetaspace(_ metaspace: Metaspace, _ bytes: [UInt8], step: Int, isFirst: Bool) throws {
        var bytes = ByteSearch.replacing([0x20], with: Metaspace.marker, in: bytes) ?? bytes
        let takesPrefix = metaspace.prefix == .always || metaspace.prefix == .first && isFirst
        if takesPrefix, !bytes.starts(with: Metaspace.marker) { bytes.insert(contentsOf: Metaspace.marker, at: 0) }
        guard metaspace.splits else { return try splitCopy(bytes, step: step + 1, isFirst: isFirst) }
        try bytes.withUnsafeBufferPointer {
            let text = UTF8Text(bytes: $0)
            var start = 0
            while start < $0.count {
                let end = Self.nextMarker($0, from: start + 1, limit: $0.count)
                try split(text, start..<end, step: step + 1, isFirst: isFirst && start == 0)
                start = end
            }
        }
    }

    /// The position of the first `▁` from `position` on, `limit` if there is none.
    private static func nextMarker(_ bytes: UnsafeBufferPointer<UInt8>, from position: Int, limit: Int) -> Int {
        var position = position
        while position < limit {
            if bytes[position] == 0xE2, isMarker(bytes, position, limit) { return position }
            position += 1
        }
        return limit
    }

    private static func isMarker(_ bytes: UnsafeBufferPointer<UInt8>, _ position: Int, _ limit: Int) -> Bool {
        position + 2 < limit && bytes[position] == 0xE2 && bytes[position + 1] == 0x96 && bytes[position + 2] == 0x81
    }

    @inline(__always)
    private mutating func encodeWord(_ text: UTF8Text, _ range: Range<Int>) throws {
        guard tokenizer.separatesAtMarker else {
            let word = UnsafeBufferPointer(rebasing: text.bytes[range])
            guard isMapped else { return try encodeWord(word) }
            return try ByteAlphabet.decode(word).withUnsafeBufferPointer { try encodeWord($0) }
        }
        var start = range.lowerBound
        while start < range.upperBound {
            var end = start
            while Self.isMarker(text.bytes, end, range.upperBound) { end += 3 }
            end = Self.nextMarker(text.bytes, from: max(end, start + 1), limit: range.upperBound)
            try encodeWord(UnsafeBufferPointer(rebasing: text.bytes[start..<end]))
            start = end
        }
    }

    @inline(__always)
    private mutating func encodeWord(_ word: UnsafeBufferPointer<UInt8>) throws {
        if cache.find(word, into: &ids) { return }
        let first = ids.count
        try tokenizer.encoder.encode(word, into: &ids, scratch: &scratch)
        cache.insert(word, ids[first...])
    }
}
