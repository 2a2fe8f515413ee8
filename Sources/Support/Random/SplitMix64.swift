import Foundation

/// The SplitMix64 generator (Steele, Lea and Flood 2014), with an independent stream per name.
public struct SplitMix64: RandomNumberGenerator, Sendable {
    /// All that the generator remembers: one seeded with it goes on where this one is.
    public private(set) var state: UInt64

    /// A generator that begins at `seed`, which may be any number.
    public init(seed: UInt64) { state = seed }

    /// A stream of `seed` that belongs to `stream`, mixed in with FNV-1a.
    public init(seed: UInt64, stream: String) {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in stream.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        state = seed ^ hash
    }

    /// What the state grows by from one number to the next: the golden ratio, as a fraction of 2^64.
    static let increment: UInt64 = 0x9E37_79B9_7F4A_7C15

    /// The next 64 bits.
    public mutating func next() -> UInt64 {
        state &+= Self.increment
        return Self.mixed(state)
    }

    /// The finaliser: every bit of the result depends on every bit of `value`.
    static func mixed(_ value: UInt64) -> UInt64 {
        var z = value
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// A uniform value in [0, 1).
    public mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }

    /// A standard normal value (Box and Muller 1958).
    public mutating func normal() -> Double {
        let radius = (-2 * log(1 - uniform())).squareRoot()
        return radius * cos(2 * .pi * uniform())
    }
}
