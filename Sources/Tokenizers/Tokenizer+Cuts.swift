extension Tokenizer {
    /// What a step does at a space between a letter or digit and a letter.
    private enum Passage {
        /// It begins a piece there.
        case splits
        /// It treats both sides as if the other were not there, and leaves them together.
        case keeps
        /// One side depends on the other.
        case mixes
    }

    /// Texts that end in a letter or digit, and texts that begin with one behind a space.
    private static let sides = (
        left: [
            "a", "The", "of the", "A B C", "x1", "12", "1234567", "one 2", "it's", "foo'S", "a.b", "(c", "\n\nz",
            "z\n1",
            "été", "Привет", "漢字", "한글", "a  b", "snake_case", "https://x",
        ],
        right: [
            " b", " The", " of the", " A B C", " x1 2", " it's", " a,", " a.b c", " a\n", " a  b", " été", " Привет",
            " 漢字", " 한글",
            " CamelCase",
        ]
    )

    /// Whether a text may be cut before a space between a letter or digit and a letter, and both parts encoded by
    /// themselves: nothing that splits text into words, and no token, goes over such a place. What regular expressions do
    /// is found by trying it.
    func cutsAtSpaces() throws -> Bool {
        guard !matchers.original.goesOverSpaces, !matchers.normalized.goesOverSpaces else { return false }
        var alwaysSplits = true
        for left in Self.sides.left {
            for right in Self.sides.right {
                switch try passage(Array(left.utf8), Array(right.utf8)) {
                case .mixes: return false
                case .keeps: alwaysSplits = false
                case .splits: continue
                }
            }
        }
        return alwaysSplits || encoder.separatesAtSpaces
    }

    private func passage(_ left: [UInt8], _ right: [UInt8]) throws -> Passage {
        let limit = Normalizer.limit(left.count + right.count)
        var (left, right, whole) = (left, right, left + right)
        try Normalizer.apply(normalizers, to: &whole, limit: limit)
        try Normalizer.apply(normalizers, to: &left, limit: limit)
        try Normalizer.apply(normalizers, to: &right, limit: limit, continues: true)
        guard whole == left + right else { return .mixes }
        for step in preTokenizer.steps {
            switch step {
            case .spacePrefix: continue
            case .metaspace(let metaspace):
                if metaspace.splits { return .splits }
                left = ByteSearch.replacing([0x20], with: Metaspace.marker, in: left) ?? left
                right = ByteSearch.replacing([0x20], with: Metaspace.marker, in: right) ?? right
            case .byteAlphabet:
                (left, right) = (ByteAlphabet.encode(left), ByteAlphabet.encode(right))
            case .words, .digits, .split:
                var expected = try step.boundaries(of: left)
                expected.formUnion(try step.boundaries(of: right).map { $0 + left.count })
                let found = try step.boundaries(of: left + right)
                guard found.union([left.count]) == expected.union([left.count]) else { return .mixes }
                if found.contains(left.count) { return .splits }
            }
        }
        return .keeps
    }
}

extension PreTokenizer.Step {
    /// Where pieces of a text end and begin, both ends of the text included.
    fileprivate func boundaries(of bytes: [UInt8]) throws -> Set<Int> {
        try bytes.withUnsafeBufferPointer { bytes in
            let text = UTF8Text(bytes: bytes)
            var boundaries: Set<Int> = [0, bytes.count], position = 0
            switch self {
            case .words(let pattern):
                while position < bytes.count {
                    position = pattern.endOfMatch(in: text, from: position, limit: bytes.count)
                    boundaries.insert(position)
                }
            case .digits(let individual):
                while position < bytes.count {
                    let (value, end) = text.characterClass(at: position)
                    let next = end < bytes.count ? text.characterClass(at: end).value : value
                    if value.contains(.numeric) != next.contains(.numeric) || individual && value.contains(.numeric) {
                        boundaries.insert(end)
                    }
                    position = end
                }
            case .split(let split):
                for piece in try split.pieces(of: text, 0..<bytes.count) {
                    position += piece.length
                    boundaries.insert(position)
                }
            case .spacePrefix, .metaspace, .byteAlphabet: break
            }
            return boundaries
        }
    }
}
