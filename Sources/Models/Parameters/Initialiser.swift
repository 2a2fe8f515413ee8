import Foundation
import Support
import Tensors

/// How a new parameter gets its first values.
public enum Initialiser: Sendable, Equatable, CustomStringConvertible {
    /// Every element the same.
    case constant(Float)
    /// Independent values, uniform from -limit to limit.
    case uniform(limit: Double)
    /// Independent normal values of mean 0.
    case normal(standardDeviation: Double)
    /// A map (outputs, D) of a layer's input that is as strong in every model: independent normal values such that its outputs have
    /// this standard deviation. The input's root mean square is that of the weight `norm`, of the norm before the map; 1 without one.
    case map(outputs: Double, norm: String?)
    /// Gate biases that give slot m of every head, at x = 0, the half-life h_m, log-spaced from `shortest` to `longest`
    /// tokens: the gate is logsigmoid(b)/divisor, so b = -ln(expm1(divisor · ln 2 / h)). Shape (heads · slots).
    case halfLives(slots: Int, shortest: Double, longest: Double, divisor: Double)

    public var description: String {
        switch self {
        case .constant(let value): "constant \(value)"
        case .uniform(let limit): "uniform up to \(limit)"
        case .normal(let deviation): "normal, standard deviation \(deviation)"
        case .map(let outputs, _): outputs == 0 ? "zero" : "normal, standard deviation of outputs \(outputs)"
        case .halfLives(let slots, let shortest, let longest, _):
            "\(slots) half-lives log-spaced from \(Int(shortest)) to \(Int(longest)) tokens"
        }
    }

    /// A root mean square that may be divided by, and that rates may be relative to: not next to nothing, and 1 where it is none.
    public static func strength(_ rootMeanSquare: Double) -> Double {
        rootMeanSquare.isFinite ? max(rootMeanSquare, 1e-3) : 1
    }

    /// The standard deviation of the elements of a map of `shape` (outputs, D) whose outputs have one of 1.
    /// - Parameter input: the root mean square of what it reads.
    public static func mapDeviation(_ shape: [Int], input: Double) -> Double {
        1 / (Double(shape.last ?? 1).squareRoot() * strength(input))
    }

    /// Makes the parameter `name` of `shape`, float32. The values depend on `seed` and `name` alone, so that a
    /// conversion is reproducible whatever the order in which its tensors are made.
    /// - Parameter input: the root mean square of what a ``map(outputs:norm:)`` reads.
    public func make(name: String, shape: [Int], seed: UInt64, input: Double = 1) throws -> Tensor {
        let count = shape.reduce(1, *)
        switch self {
        case .constant(let value):
            return try Tensor([Float](repeating: value, count: count), shape: shape)
        case .map(let outputs, _):
            return try Self.normal(standardDeviation: outputs * Self.mapDeviation(shape, input: input))
                .make(name: name, shape: shape, seed: seed)
        case .uniform(let limit):
            var generator = SplitMix64(seed: seed, stream: name)
            return try Tensor((0..<count).map { _ in Float((2 * generator.uniform() - 1) * limit) }, shape: shape)
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
