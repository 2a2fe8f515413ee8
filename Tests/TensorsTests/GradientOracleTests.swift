import Tensors
import Testing

/// The oracles' gradients are those of the oracles' functions: central differences in float64.
@Suite struct GradientOracleTests {
    /// Compares `gradient` with the central differences of `loss` at `point`.
    private func expectGradient(
        _ gradient: [Double], at point: [Double], _ what: String, of loss: ([Double]) -> Double
    ) {
        let step = 1e-5
        let differences = point.indices.map { i -> Double in
            var (above, below) = (point, point)
            above[i] += step
            below[i] -= step
            return (loss(above) - loss(below)) / (2 * step)
        }
        expectClose(gradient, differences, 1e-8, what)
    }

    private func values(_ count: Int, _ seed: UInt64, scale: Float = 2) -> [Double] {
        var random = Random(seed)
        return random.floats(count, scale: scale).map(Double.init)
    }

    private func dot(_ x: [Double], _ y: [Double]) -> Double { zip(x, y).reduce(0) { $0 + $1.0 * $1.1 } }

    @Test func products() {
        let (rows, inputs, outputs) = (3, 4, 5)
        let x = values(rows * inputs, 31), weight = values(outputs * inputs, 32), gradient = values(rows * outputs, 33)
        func loss(_ x: [Double], _ weight: [Double]) -> Double {
            let turned = GradientOracle.transposed(weight, rows: outputs, columns: inputs)
            return dot(GradientOracle.product(x, turned, rows: rows, depth: inputs, columns: outputs), gradient)
        }
        expectGradient(
            GradientOracle.product(gradient, weight, rows: rows, depth: outputs, columns: inputs), at: x, "x"
        ) { loss($0, weight) }
        let turned = GradientOracle.transposed(gradient, rows: rows, columns: outputs)
        expectGradient(
            GradientOracle.product(turned, x, rows: outputs, depth: rows, columns: inputs), at: weight, "weight"
        ) { loss(x, $0) }
    }

    @Test func activations() {
        let x = values(12, 34, scale: 5), y = values(12, 35), gradient = values(12, 36)
        for activation in Activation.allCases {
            expectGradient(
                GradientOracle.activatedBackward(activation, gradient, x: x), at: x, "\(activation)"
            ) { dot(GradientOracle.activated(activation, $0), gradient) }
            let gated = GradientOracle.gatedBackward(activation, gradient, gate: x, up: y)
            expectGradient(gated.gate, at: x, "\(activation), gate") {
                dot(GradientOracle.gated(activation, gate: $0, up: y), gradient)
            }
            expectGradient(gated.up, at: y, "\(activation), up") {
                dot(GradientOracle.gated(activation, gate: x, up: $0), gradient)
            }
        }
        expectGradient(GradientOracle.logGateBackward(gradient, x: x, divisor: 8), at: x, "log gate") {
            dot(GradientOracle.logGate($0, divisor: 8), gradient)
        }
        let logits = values(3, 37)
        let mix = GradientOracle.mixBackward(gradient, x: x, y: y, logits: logits)
        expectGradient(mix.x, at: x, "mix x") { dot(GradientOracle.mix($0, y, logits: logits), gradient) }
        expectGradient(mix.y, at: y, "mix y") { dot(GradientOracle.mix(x, $0, logits: logits), gradient) }
        expectGradient(mix.logits, at: logits, "mix logits") { dot(GradientOracle.mix(x, y, logits: $0), gradient) }
    }

    @Test func norm() {
        let x = values(12, 38), weight = values(4, 39), gradient = values(12, 40)
        let found = GradientOracle.rmsNormBackward(gradient, x: x, weight: weight, epsilon: 0.1)
        expectGradient(found.x, at: x, "x") {
            dot(GradientOracle.rmsNorm($0, weight: weight, epsilon: 0.1), gradient)
        }
        expectGradient(found.weight, at: weight, "weight") {
            dot(GradientOracle.rmsNorm(x, weight: $0, epsilon: 0.1), gradient)
        }
    }

    @Test func layerNorm() {
        let x = values(12, 43), weight = values(4, 44), gradient = values(12, 45), bias = values(4, 46)
        let found = GradientOracle.layerNormBackward(gradient, x: x, weight: weight, epsilon: 0.1)
        func loss(_ x: [Double], _ weight: [Double], _ bias: [Double]) -> Double {
            dot(GradientOracle.layerNorm(x, weight: weight, bias: bias, epsilon: 0.1), gradient)
        }
        expectGradient(found.x, at: x, "x") { loss($0, weight, bias) }
        expectGradient(found.weight, at: weight, "weight") { loss(x, $0, bias) }
        expectGradient(found.bias, at: bias, "bias") { loss(x, weight, $0) }
    }

    @Test func losses() {
        let logits = values(15, 41), teacher = values(15, 42)
        let targets: [Int32] = [3, -1, 0]
        expectGradient(GradientOracle.crossEntropy(logits, targets: targets).gradient, at: logits, "cross-entropy") {
            GradientOracle.crossEntropy($0, targets: targets).losses.reduce(0, +)
        }
        expectGradient(
            GradientOracle.klDivergence(logits, teacher: teacher, outputs: 5).gradient, at: logits, "divergence"
        ) { GradientOracle.klDivergence($0, teacher: teacher, outputs: 5).losses.reduce(0, +) }
        expectGradient(GradientOracle.meanSquaredError(logits, target: teacher).gradient, at: logits, "squared error") {
            GradientOracle.meanSquaredError($0, target: teacher).loss
        }
    }
}
