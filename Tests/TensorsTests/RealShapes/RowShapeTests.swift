import CKernels
import Tensors
import TestSupport
import Testing

extension KernelTests {
    /// What runs along rows as wide as published models'.
    @Suite("Rows at real shapes", .timeLimit(.minutes(5))) struct RowShapeTests {
        @Test("norms, activations and their gradients", arguments: ModelShape.widths)
        func rows(_ dim: Int) throws {
            var random = Random(UInt64(dim))
            let shape = [3, dim]
            let x = try random.tensor(shape, scale: 3), y = try random.tensor(shape), weight = try random.tensor([dim])
            let (a, b, w) = try (doubles(x), doubles(y), doubles(weight))
            let epsilon = Double(Float(1e-5))
            let normed = stride(from: 0, to: a.count, by: dim).flatMap { start -> [Double] in
                let row = a[start..<start + dim]
                let root = (row.reduce(0) { $0 + $1 * $1 } / Double(dim) + epsilon).squareRoot()
                return zip(row, w).map { $0 / root * $1 }
            }
            let backward = GradientOracle.rmsNormBackward(b, x: a, weight: w, epsilon: epsilon)
            let layer = GradientOracle.layerNorm(a, weight: w, bias: w, epsilon: epsilon)
            let layerBackward = GradientOracle.layerNormBackward(b, x: a, weight: w, epsilon: epsilon)
            let backend = CPUBackend.shared
            for (index, set) in KernelChoice.sets.enumerated() {
                try KernelChoice(set: set, threads: index % 2 + 1, oneDNN: false).run {
                    let what = "\(dim) \(set)"
                    expectClose(
                        try doubles(x.rmsNorm(weight: weight, epsilon: 1e-5)), normed, 0x1p-20, "norm \(what)")
                    var sums = try Tensor.zeros([dim])
                    var found = try backend.normalisedBackward(
                        y, x: x, Normalisation(.rms, weight: weight, epsilon: 1e-5), saved: nil, more: nil,
                        weightGradient: &sums)
                    expectClose(try doubles(found), backward.x, 0x1p-18, "norm's x \(what)")
                    expectClose(try doubles(sums), backward.weight, 0x1p-17, "norm's weight \(what)")
                    expectClose(
                        try doubles(x.layerNorm(weight: weight, bias: weight, epsilon: 1e-5)), layer, 0x1p-20,
                        "layer norm \(what)")
                    sums = try .zeros([dim])
                    found = try backend.normalisedBackward(
                        y, x: x, Normalisation(.layer, weight: weight, epsilon: 1e-5), saved: nil, more: nil,
                        weightGradient: &sums)
                    expectClose(try doubles(found), layerBackward.x, 0x1p-18, "layer norm's x \(what)")
                    expectClose(try doubles(sums), layerBackward.weight, 0x1p-17, "layer norm's weight \(what)")
                    for activation in Activation.allCases {
                        let what = "\(activation) \(what)"
                        expectClose(
                            try doubles(.gated(activation, gate: x, up: y)),
                            GradientOracle.gated(activation, gate: a, up: b), 0x1p-20, "gated \(what)")
                        let expected = GradientOracle.gatedBackward(activation, b, gate: a, up: b)
                        let gradients = try backend.gatedBackward(y, activation, gate: x, up: y)
                        expectClose(try doubles(gradients.gate), expected.gate, 0x1p-20, "gate \(what)")
                        expectClose(try doubles(gradients.up), expected.up, 0x1p-20, "up \(what)")
                    }
                    expectClose(try doubles(x.adding(y)), zip(a, b).map(+), 0x1p-21, "add \(what)")
                }
            }
        }

        /// Weights of inputs that are real and of one tile row and a part of one: q8 and q4 lose what they lose at other widths.
        @Test("rounding to 8 and 4 bits", arguments: ModelShape.widths)
        func quantise(_ inputs: Int) throws {
            var random = Random(UInt64(inputs))
            let weight = try random.tensor([17, inputs])
            let values = try doubles(weight), square = values.reduce(0) { $0 + $1 * $1 }
            for (index, set) in KernelChoice.sets.enumerated() {
                try KernelChoice(set: set, threads: index % 2 + 1, oneDNN: false).run {
                    for (dtype, bound) in [(DType.q8, 0.006), (.q4, 0.09)] {
                        // The search of the narrow sets is slow: widths that are no longer special have been seen by then.
                        if dtype == .q4, index < KernelChoice.sets.count - 1, inputs > 8192 { continue }
                        let rounded = try weight.quantised(to: dtype)
                        let errors = zip(values, try doubles(rounded.tensor)).map { $0 - $1 }
                        let squared = errors.reduce(0) { $0 + $1 * $1 }
                        #expect(abs(rounded.squaredError - squared) <= 1e-3 * squared, "\(inputs) \(dtype) \(set)")
                        #expect((squared / square).squareRoot() < bound, "\(inputs) \(dtype) \(set)")
                    }
                }
            }
        }
    }
}
