/// A hash of a sequence of tokens that grows with it, so that every prefix's is known on the way.
public struct TokenDigest: Sendable, Hashable {
    /// The hash.
    public private(set) var value: UInt64

    /// The hash of no tokens, or one to go on from.
    public init(_ value: UInt64 = 0x243F_6A88_85A3_08D3) { self.value = value }

    /// Makes this the hash of the sequence with `tokens` behind it.
    public mutating func append(_ tokens: some Sequence<Int32>) {
        for token in tokens {
            // For one token a bijection of the hash so far, so that sequences that differ stay apart.
            value = (value ^ UInt64(UInt32(bitPattern: token))) &* 0x9E37_79B9_7F4A_7C15
            value ^= value >> 29
        }
    }
}
