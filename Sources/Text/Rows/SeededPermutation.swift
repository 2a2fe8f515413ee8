import Support

/// A permutation of 0..<count that takes no memory: a Feistel network over the next power of four, walked until it
/// lands inside (Black and Rogaway 2002, "Ciphers with Arbitrary Finite Domains").
package struct SeededPermutation: Sendable {
    package let count: Int
    private let seed: UInt64
    /// Bits of each half.
    private let width: UInt64
    private static let rounds: UInt64 = 6

    /// A permutation of `count` > 0 numbers.
    package init(count: Int, seed: UInt64) {
        self.count = count
        self.seed = seed
        let bits = UInt64(Int.bitWidth - max(1, count - 1).leadingZeroBitCount)
        width = (bits + 1) / 2
    }

    /// Where `index`, below ``count``, goes. The domain is less than four times as large, so that few steps lead back.
    package subscript(index: Int) -> Int {
        precondition(0..<count ~= index, "index \(index) of \(count)")
        var value = UInt64(index)
        repeat { value = encrypted(value) } while value >= UInt64(count)
        return Int(value)
    }

    private func encrypted(_ value: UInt64) -> UInt64 {
        let mask = 1 << width - 1 as UInt64
        var (left, right) = (value >> width, value & mask)
        for round in 0..<Self.rounds {
            (left, right) = (right, left ^ seededHash(seed, round, right) & mask)
        }
        return left << width | right
    }
}
