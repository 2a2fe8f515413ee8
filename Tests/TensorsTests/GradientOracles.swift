import Foundation
import Tensors

/// The definitions of the operations and of their gradients, in float64, with nothing shared between elements.
enum GradientOracle {
    typealias Values = [Double]

    static func sigmoid(_ x: Double) -> Double { 1 / (1 + exp(-x)) }

    /// a (rows, depth) · b (depth, columns).
    static func product(_ a: Values, _ b: Values, rows: Int, depth: Int, columns: Int) -> Values {
        var out = Values(repeating: 0, count: rows * columns)
        for r in 0..<rows {
            for k in 0..<depth {
                for c in 0..<columns { out[r * columns + c] += a[r * depth + k] * b[k * columns + c] }
            }
        }
        return out
    }

    static func transposed(_ x: Values, rows: Int, columns: Int) -> Values {
        (0..<rows * columns).map { x[$0 % rows * columns + $0 / rows] }
    }

    // MARK: Element by element

    static func activated(_ activation: Activation, _ x: Values) -> Values {
        x.map { x in
            switch activation {
            case .silu: x * sigmoid(x)
            case .gelu: x * erfc(-x / 2.0.squareRoot()) / 2
            case .geluTanh: x * (1 + tanh((2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x))) / 2
            }
        }
    }

    static func activatedBackward(_ activation: Activation, _ gradient: Values, x: Values) -> Values {
        zip(gradient, x).map { g, x in
            switch activation {
            case .silu: return g * (sigmoid(x) + x * sigmoid(x) * (1 - sigmoid(x)))
            case .gelu:
                return g * (erfc(-x / 2.0.squareRoot()) / 2 + x * exp(-x * x / 2) / (2 * Double.pi).squareRoot())
            case .geluTanh:
                let factor = (2 / Double.pi).squareRoot(), t = tanh(factor * (x + 0.044715 * x * x * x))
                return g * ((1 + t) / 2 + x * (1 - t * t) / 2 * factor * (1 + 3 * 0.044715 * x * x))
            }
        }
    }

    static func gated(_ activation: Activation, gate: Values, up: Values) -> Values {
        zip(activated(activation, gate), up).map(*)
    }

    static func gatedBackward(
        _ activation: Activation, _ gradient: Values, gate: Values, up: Values
    ) -> (gate: Values, up: Values) {
        (
            activatedBackward(activation, zip(gradient, up).map(*), x: gate),
            zip(gradient, activated(activation, gate)).map(*)
        )
    }

    static func logGate(_ x: Values, divisor: Double) -> Values {
        x.map { (min($0, 0) - log1p(exp(-abs($0)))) / divisor }
    }

    static func logGateBackward(_ gradient: Values, x: Values, divisor: Double) -> Values {
        zip(gradient, x).map { g, x in g * sigmoid(-x) / divisor }
    }

    static func mix(_ x: Values, _ y: Values, logits: Values) -> Values {
        let dim = x.count / logits.count
        return x.indices.map { i in
            let w = sigmoid(logits[i / dim])
            return w * x[i] + (1 - w) * y[i]
        }
    }

    static func mixBackward(
        _ gradient: Values, x: Values, y: Values, logits: Values
    ) -> (x: Values, y: Values, logits: Values) {
        let dim = x.count / logits.count
        let weights = logits.map(sigmoid)
        var slopes = Values(repeating: 0, count: logits.count)
        for i in x.indices {
            let w = weights[i / dim]
            slopes[i / dim] += gradient[i] * (x[i] - y[i]) * w * (1 - w)
        }
        return (
            x.indices.map { gradient[$0] * weights[$0 / dim] },
            x.indices.map { gradient[$0] * (1 - weights[$0 / dim]) },
            slopes
        )
    }

    static func rmsNorm(_ x: Values, weight: Values, epsilon: Double) -> Values {
        let dim = weight.count
        return x.indices.map { i in
            let row = x[i / dim * dim..<(i / dim + 1) * dim]
            return x[i] / (row.reduce(0) { $0 + $1 * $1 } / Double(dim) + epsilon).squareRoot() * weight[i % dim]
        }
    }

    static func rmsNormBackward(
        _ gradient: Values, x: Values, weight: Values, epsilon: Double
    ) -> (x: Values, weight: Values) {
        let dim = weight.count
        var xGradient = x
        var weightGradient = Values(repeating: 0, count: dim)
        for start in stride(from: 0, to: x.count, by: dim) {
            let row = start..<start + dim
            let root = (row.reduce(0) { $0 + x[$1] * x[$1] } / Double(dim) + epsilon).squareRoot()
            let dot = row.reduce(0) { $0 + gradient[$1] * weight[$1 - start] * x[$1] }
            for i in row {
                xGradient[i] = gradient[i] * weight[i - start] / root - x[i] * dot / (Double(dim) * root * root * root)
                weightGradient[i - start] += gradient[i] * x[i] / root
            }
        }
        return (xGradient, weightGradient)
    }

    static func layerNorm(_ x: Values, weight: Values, bias: Values?, epsilon: Double) -> Values {
        let dim = weight.count
        let centred = rows(x, of: dim).flatMap { row in row.map { $0 - row.reduce(0, +) / Double(dim) } }
        let normed = rmsNorm(centred, weight: weight, epsilon: epsilon)
        return normed.indices.map { normed[$0] + (bias?[$0 % dim] ?? 0) }
    }

    static func layerNormBackward(
        _ gradient: Values, x: Values, weight: Values, epsilon: Double
    ) -> (x: Values, weight: Values, bias: Values) {
        let dim = weight.count
        func centred(_ x: Values) -> Values {
            rows(x, of: dim).flatMap { row in row.map { $0 - row.reduce(0, +) / Double(dim) } }
        }
        // Taking the mean away is its own transpose.
        let inner = rmsNormBackward(gradient, x: centred(x), weight: weight, epsilon: epsilon)
        var bias = Values(repeating: 0, count: dim)
        for i in gradient.indices { bias[i % dim] += gradient[i] }
        return (centred(inner.x), inner.weight, bias)
    }

    // MARK: Losses

    static func softmax(_ logits: ArraySlice<Double>) -> Values {
        let most = logits.max() ?? 0
        let weights = logits.map { exp($0 - most) }
        let sum = weights.reduce(0, +)
        return weights.map { $0 / sum }
    }

    static func rows(_ x: Values, of size: Int) -> [ArraySlice<Double>] {
        stride(from: 0, to: x.count, by: size).map { x[$0..<$0 + size] }
    }

    /// Losses per row of logits (targets.count, outputs), and the gradient of their sum.
    static func crossEntropy(_ logits: Values, targets: [Int32]) -> (losses: Values, gradient: Values) {
        var (losses, gradient) = (Values(), Values())
        for (row, target) in zip(rows(logits, of: logits.count / targets.count), targets) {
            var weights = softmax(row)
            if target < 0 {
                losses.append(0)
                weights = weights.map { _ in 0 }
            } else {
                losses.append(-log(weights[Int(target)]))
                weights[Int(target)] -= 1
            }
            gradient += weights
        }
        return (losses, gradient)
    }

    /// KL(teacher ‖ student) per row, and the gradient of the sum with respect to the student's logits.
    static func klDivergence(_ student: Values, teacher: Values, outputs: Int) -> (losses: Values, gradient: Values) {
        var (losses, gradient) = (Values(), Values())
        for (row, other) in zip(rows(student, of: outputs), rows(teacher, of: outputs)) {
            let (q, p) = (softmax(row), softmax(other))
            losses.append(zip(p, q).reduce(0) { $0 + $1.0 * log($1.0 / $1.1) })
            gradient += zip(q, p).map(-)
        }
        return (losses, gradient)
    }

    static func meanSquaredError(_ x: Values, target: Values) -> (loss: Double, gradient: Values) {
        let energy = target.reduce(0) { $0 + $1 * $1 }
        let differences = zip(x, target).map(-)
        return (differences.reduce(0) { $0 + $1 * $1 } / energy, differences.map { 2 * $0 / energy })
    }
}
