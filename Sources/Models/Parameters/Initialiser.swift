import Foundation
import Support
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
