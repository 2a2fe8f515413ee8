/// Knuth's linear congruential generator; the fixture script has the same one.
struct LinearCongruentialGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    mutating func below(_ bound: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int(state >> 33) % bound
    }
}

extension IdentityFixture {
    /// At least `blockSize` bytes of text: pieces, words of them, runs, code points from everywhere, and ASCII noise.
    func mixedText(seed: UInt64) -> String {
        var random = LinearCongruentialGenerator(seed: seed)
        var text: [UInt8] = []
        while text.count < blockSize {
            let kind = random.below(100)
            if kind < 40 {
                text += pieces[random.below(pieces.count)].utf8
            } else if kind < 75 {
                let words = pieces[random.below(pieces.count)].utf8
                    .split(separator: 0x20, omittingEmptySubsequences: false)
                text += words[random.below(words.count)]
                text += repeatElement(0x20, count: random.below(2))
            } else if kind < 85 {
                let run = runs[random.below(runs.count)].utf8
                for _ in 0..<(1 + random.below(1 + random.below(60))) { text += run }
            } else if kind < 93 {
                let code = random.below([0x600, 0x3100, 0x20000, 0x110000][random.below(4)])
                text += String(Character(Unicode.Scalar(UInt32(code)) ?? " ")).utf8
                text += repeatElement(0x20, count: random.below(2))
            } else {
                for _ in 0..<(1 + random.below(12)) { text.append(UInt8(0x20 + random.below(95))) }
            }
        }
        return String(decoding: text, as: UTF8.self)
    }
}

/// FNV-1a over 32-bit units, or over bytes.
func fnv<Value: FixedWidthInteger>(_ values: some Sequence<Value>) -> String {
    let hash = values.reduce(0xCBF2_9CE4_8422_2325 as UInt64) {
        ($0 ^ UInt64(truncatingIfNeeded: $1)) &* 0x100_0000_01B3
    }
    let digits = String(hash, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
}
