import Foundation
import Tensors

/// How a new parameter gets its first values.
public enum Initialiser: Sendable, Equatable, CustomStringConvertible {
    /// Every element the same.
    case constant(Float)
    /// Independent normal values of mean 0.
    case normal(standardDeviation: Double)
    /// Gate biases that give slot m of every head, at x = 0, the half-life h_m, log-spaced from `shortest` to `longest`
    /// tokens: the gate is logsigmoid(b)/divisor, so b = -ln(expm1(divisor · ln 2 / h)). Shape (heads · slots).
    case halfLives(slots: Int, shortest: Double, longest: Double, divisor: Double)

    public var description: String {
        switch self {
        case .constant(let value): "constant \(value)"
        case .normal(let deviation): "normal, standard deviation \(deviation)"
        case .halfLives(let slots, let shortest, let longest, _):
            "half-lives of \(slots) slots log-spaced from \(Int(shortest)) to \(Int(longest)) tokens"
        }
    }

    /// Makes the parameter `name` of `shape`, float32. The values depend on `seed` and `name` alone, so that a
    /// conversion is reproducible whatever the order in which its tensors are made.
    public func make(name: String, shape: [Int], seed: UInt64) throws -> Tensor {
        let count = shape.reduce(1, *)
        switch self {
        case .constant(let value):
            return try Tensor([Float](repeating: value, count: count), shape: shape)
        case .normal(let deviation):
            var generator = SplitMix64(seed: seed, stream: name)
            return try Tensor((0..<count).map { _ in Float(generator.normal() * deviation) }, shape: shape)
        case .halfLives(let slots, let shortest, let longest, let divisor):
            return try Tensor(
                (0..<count).map { index in
                    let position = slots > 1 ? Double(index % slots) / Double(slots - 1) : 0
                    let halfLife = shortest * pow(longest / shortest, position)
                    return Float(-log(expm1(divisor * log(2) / halfLife)))
                }, shape: shape)
        }
    }
}

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

    /// The next 64 bits.
    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// A uniform value in [0, 1).
    public mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }

    /// A standard normal value (Box and Muller 1958).
    mutating func normal() -> Double {
        let radius = (-2 * log(1 - uniform())).squareRoot()
        return radius * cos(2 * .pi * uniform())
    }
}
