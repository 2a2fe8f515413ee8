import Foundation
import Tensors

/// A function of ``Pointwise`` and what it is in float64.
struct PointwiseFunction: Sendable, CustomStringConvertible {
    let description: String
    let expression: @Sendable (Pointwise) -> Pointwise
    let value: @Sendable (Double) -> Double
    let slope: @Sendable (Double) -> Double
    /// Arguments below it are left out.
    var least = -Double.infinity
    /// What of an error is that of the function's own size. Where it is not all, the rest is that of 1.
    var isRelative = true

    private static func sigmoid(_ x: Double) -> Double { x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x)) }
    private static func softplus(_ x: Double) -> Double { max(x, 0) + log1p(exp(-abs(x))) }
    private static func normal(_ x: Double) -> Double { 0.5 * erfc(-x / 2.squareRoot()) }
    /// 2u of ``Activation/geluTanh`` and its slope, where they tell sigmoid(2u) from 0 and 1.
    private static func angle(_ x: Double) -> (Double, Double) {
        let (factor, y) = (2 * (2 / Double.pi).squareRoot(), min(max(x, -20), 20))
        return (factor * (y + 0.044715 * y * y * y), factor * (1 + 3 * 0.044715 * y * y))
    }

    static let all: [Self] = [
        Self(
            description: "x + c", expression: { $0 + 0.75 }, value: { $0 + 0.75 }, slope: { _ in 1 }, isRelative: false),
        Self(
            description: "x - c", expression: { $0 - 2 }, value: { $0 - 2 }, slope: { _ in 1 },
            isRelative: false),
        Self(
            description: "c - x", expression: { 0.5 - $0 }, value: { 0.5 - $0 }, slope: { _ in -1 }, isRelative: false),
        Self(description: "c x", expression: { -1.5 * $0 }, value: { -1.5 * $0 }, slope: { _ in -1.5 }),
        Self(description: "x / c", expression: { $0 / 7 }, value: { $0 / 7 }, slope: { _ in 1.0 / 7 }),
        Self(description: "c / x", expression: { 3 / $0 }, value: { 3 / $0 }, slope: { -3 / ($0 * $0) }),
        Self(description: "-x", expression: { -$0 }, value: { -$0 }, slope: { _ in -1 }),
        Self(description: "x x", expression: { $0 * $0 }, value: { $0 * $0 }, slope: { 2 * $0 }),
        Self(description: "x + x", expression: { $0 + $0 }, value: { 2 * $0 }, slope: { _ in 2 }),
        Self(
            description: "x / (x x + 1)", expression: { $0 / ($0 * $0 + 1) }, value: { $0 / ($0 * $0 + 1) },
            slope: { (1 - $0 * $0) / pow($0 * $0 + 1, 2) }, isRelative: false),
        Self(
            description: "max", expression: { .max($0, 0.25) }, value: { max($0, 0.25) }, slope: { $0 > 0.25 ? 1 : 0 }),
        Self(
            description: "min", expression: { .min($0, 0.25) }, value: { min($0, 0.25) }, slope: { $0 < 0.25 ? 1 : 0 }),
        Self(description: "relu", expression: { .relu($0) }, value: { max($0, 0) }, slope: { $0 > 0 ? 1 : 0 }),
        Self(description: "squared", expression: { .squared($0) }, value: { $0 * $0 }, slope: { 2 * $0 }),
        Self(
            description: "sqrt", expression: { .sqrt($0) }, value: { $0.squareRoot() },
            slope: { 0.5 / $0.squareRoot() }, least: 0),
        Self(
            description: "rsqrt", expression: { .rsqrt($0) }, value: { 1 / $0.squareRoot() },
            slope: { -0.5 / ($0 * $0.squareRoot()) }, least: 0),
        Self(description: "exp", expression: { .exp($0) }, value: { exp($0) }, slope: { exp($0) }),
        Self(description: "log", expression: { .log($0) }, value: { log($0) }, slope: { 1 / $0 }, least: 0),
        Self(
            description: "sigmoid", expression: { .sigmoid($0) }, value: sigmoid,
            slope: { sigmoid($0) * sigmoid(-$0) }),
        Self(
            description: "logSigmoid", expression: { .logSigmoid($0) }, value: { -softplus(-$0) },
            slope: { sigmoid(-$0) }),
        Self(description: "softplus", expression: { .softplus($0) }, value: softplus, slope: sigmoid),
        Self(
            description: "tanh", expression: { .tanh($0) }, value: { tanh($0) },
            slope: { 4 * sigmoid(2 * $0) * sigmoid(-2 * $0) }),
        Self(
            description: "silu", expression: { .silu($0) }, value: { $0 * sigmoid($0) },
            slope: { sigmoid($0) * (1 + $0 * sigmoid(-$0)) }, isRelative: false),
        Self(
            description: "gelu", expression: { .gelu($0) }, value: { $0 * normal($0) },
            slope: { normal($0) + $0 * exp(-$0 * $0 / 2) / (2 * Double.pi).squareRoot() }, isRelative: false),
        Self(
            description: "geluTanh", expression: { .geluTanh($0) }, value: { $0 * sigmoid(angle($0).0) },
            slope: {
                let (angle, rise) = angle($0)
                return sigmoid(angle) + $0 * sigmoid(angle) * sigmoid(-angle) * rise
            }, isRelative: false),
    ]

    /// Numbers of all sizes, with both zeros and subnormal ones among them.
    static func arguments(_ count: Int, least: Double) throws -> Tensor {
        var random = Random(count)
        let extremes: [Float] = [
            0, -0, 1e4, -1e4, 0x1p-133, -0x1p-133, 88, -88, 89, -89, 104, -104, 17, -17, 0.25, 1, -1, 3e-8, -3e-8, 1e30,
            -1e30,
        ]
        let numbers = (0..<count).map { index in
            index % 3 == 0 ? extremes[index / 3 % extremes.count] : random.float() * [1, 8, 30][index % 7 % 3]
        }
        return try Tensor(numbers.map { Double($0) < least ? -$0 : $0 }, shape: [count])
    }
}

extension Random {
    init(_ seed: Int) { self.init(UInt64(seed)) }
}
