import Foundation
import Tensors
import Testing

extension KernelTests {
    @Suite struct GradientTests {
        static let shapes = [[1], [3, 1], [2, 17], [63], [5, 65], [9, 576], [130, 257]]
        static let tolerance = 0x1p-20
        private let backend = CPUBackend.shared

        @Test func activations() throws {
            var random = Random(51)
            for shape in Self.shapes {
                let x = try random.tensor(shape, scale: 12), y = try random.tensor(shape, scale: 5)
                let gradient = try random.tensor(shape)
                let (a, b, g) = try (doubles(x), doubles(y), doubles(gradient))
                try withEveryKernel { choice in
                    let what = "\(shape) \(choice)"
                    for activation in Activation.allCases {
                        expectClose(
                            try doubles(backend.activatedBackward(gradient, activation, x: x)),
                            GradientOracle.activatedBackward(activation, g, x: a), Self.tolerance,
                            "\(activation) \(what)")
                        let expected = GradientOracle.gatedBackward(activation, g, gate: a, up: b)
                        let found = try backend.gatedBackward(gradient, activation, gate: x, up: y)
                        expectClose(
                            try doubles(found.gate), expected.gate, Self.tolerance, "\(activation), gate \(what)")
                        expectClose(try doubles(found.up), expected.up, Self.tolerance, "\(activation), up \(what)")
                    }
                    expectClose(
                        try doubles(backend.logGateBackward(gradient, x: x, divisor: 8)),
                        GradientOracle.logGateBackward(g, x: a, divisor: 8), Self.tolerance, "log gate \(what)")
                }
            }
        }

        @Test func extremesStayFinite() throws {
            let values: [Float] = [-3e38, -1000, -104, -88, -1e-30, 0, 1e-30, 17, 88, 1000, 3e38]
            let x = try Tensor(values, shape: [values.count])
            let ones = try Tensor([Float](repeating: 1, count: values.count), shape: x.shape)
            try withEveryKernel { choice in
                let silu = try backend.activatedBackward(ones, .silu, x: x).array(Float.self)
                let gates = try backend.logGateBackward(ones, x: x, divisor: 8).array(Float.self)
                for (i, value) in values.enumerated() {
                    let s = value < 0 ? exp(Double(value)) / (1 + exp(Double(value))) : 1 / (1 + exp(-Double(value)))
                    let other =
                        value < 0 ? 1 / (1 + exp(Double(value))) : exp(-Double(value)) / (1 + exp(-Double(value)))
                    #expect(abs(Double(silu[i]) - s * (1 + Double(value) * other)) <= 0x1p-20, "\(value) \(choice)")
                    #expect(abs(Double(gates[i]) - other / 8) <= 0x1p-20 * other + 0x1p-148, "\(value) \(choice)")
                }
                for activation in [Activation.gelu, .geluTanh] {
                    // Far from 0, slopes of 0 and 1.
                    let slopes = try backend.activatedBackward(ones, activation, x: x).array(Float.self)
                    #expect(slopes == [0, 0, 0, 0, 0.5, 0.5, 0.5, 1, 1, 1, 1], "\(activation) \(choice)")
                }
            }
        }

        @Test func mix() throws {
            var random = Random(52)
            for shape in [[1, 1, 1, 1], [2, 3, 5, 17], [1, 40, 9, 64], [1, 2, 3, 65]] {
                let x = try random.tensor(shape), y = try random.tensor(shape), gradient = try random.tensor(shape)
                let logits = try random.tensor(Array(shape.dropLast()), scale: 6)
                let expected = GradientOracle.mixBackward(
                    try doubles(gradient), x: try doubles(x), y: try doubles(y), logits: try doubles(logits))
                try withEveryKernel { choice in
                    let found = try backend.mixBackward(gradient, x: x, y: y, logits: logits)
                    expectClose(try doubles(found.x), expected.x, Self.tolerance, "x \(shape) \(choice)")
                    expectClose(try doubles(found.y), expected.y, Self.tolerance, "y \(shape) \(choice)")
                    expectClose(
                        try doubles(found.logits), expected.logits, Self.tolerance * 4, "logits \(shape) \(choice)")
                }
            }
        }

        @Test(arguments: Normalisation.Kind.allCases)
        func normAddsToTheWeight(_ kind: Normalisation.Kind) throws {
            var random = Random(53)
            // The last is of heads.
            for shape in Self.shapes + [[2, 9, 3, 64]] {
                let dim = shape[shape.count - 1]
                let x = try random.tensor(shape, scale: 3), gradient = try random.tensor(shape)
                let weight = try random.tensor([dim]), before = try random.tensor([dim])
                let (g, a, w) = try (doubles(gradient), doubles(x), doubles(weight))
                let epsilon = Double(Float(1e-5))
                let layer = GradientOracle.layerNormBackward(g, x: a, weight: w, epsilon: epsilon)
                let expected =
                    kind == .layer
                    ? (x: layer.x, weight: layer.weight)
                    : GradientOracle.rmsNormBackward(g, x: a, weight: w, epsilon: epsilon)
                let norm = Normalisation(kind, weight: weight, epsilon: 1e-5)
                // Of one element less its mean nothing is left but rounding, which epsilon makes large.
                if kind == .layer, dim == 1 { continue }
                let sum = zip(expected.weight, try doubles(before)).map(+)
                try withEveryKernel { choice in
                    var weightGradient = before
                    let found = try backend.normalisedBackward(
                        gradient, x: x, norm, saved: nil, more: nil, weightGradient: &weightGradient)
                    expectClose(try doubles(found), expected.x, Self.tolerance * 4, "x \(shape) \(choice)")
                    expectClose(try doubles(weightGradient), sum, Self.tolerance * 8, "weight \(shape) \(choice)")
                }
            }
        }

        @Test func ropeTurnsBack() throws {
            var random = Random(54)
            for (shape, offset) in [([1, 1, 1, 2], 0), ([2, 5, 3, 34], 4), ([1, 70, 9, 64], 3)] {
                let half = shape[3] / 2
                let angles = random.floats((shape[1] + 7) * half, scale: 3)
                let cosines = try Tensor(angles.map { cos($0) }, shape: [shape[1] + 7, half])
                let sines = try Tensor(angles.map { sin($0) }, shape: [shape[1] + 7, half])
                let x = try random.tensor(shape), gradient = try random.tensor(shape)
                try withEveryKernel { choice in
                    // The transpose of a rotation is its inverse: ⟨g, R x⟩ = ⟨Rᵀ g, x⟩ and Rᵀ R x = x.
                    let turned = try x.rope(cosines: cosines, sines: sines, offset: offset)
                    let back = try backend.ropeBackward(
                        turned, cosines: cosines, sines: sines, offset: offset, documents: nil)
                    expectClose(try doubles(back), try doubles(x), Self.tolerance, "\(shape) \(choice)")
                    let pulled = try backend.ropeBackward(
                        gradient, cosines: cosines, sines: sines, offset: offset, documents: nil)
                    let one = zip(try doubles(gradient), try doubles(turned)).reduce(0) { $0 + $1.0 * $1.1 }
                    let other = zip(try doubles(pulled), try doubles(x)).reduce(0) { $0 + $1.0 * $1.1 }
                    #expect(abs(one - other) <= Self.tolerance * Double(x.count), "\(shape) \(choice)")
                }
            }
        }

        @Test func sumsAreAddedToWhatIsThere() throws {
            var random = Random(55)
            for (rows, columns) in [(1, 1), (7, 3), (300, 65), (130, 576)] {
                let x = try random.tensor([rows, columns]), before = try random.tensor([columns])
                let ids = (0..<rows).map { Int32($0 * $0 % 5) }
                let table = try random.tensor([5, columns]), other = try random.tensor([rows, columns])
                let (a, b) = try (doubles(x), doubles(other))
                var sums = try doubles(before), rowSums = try doubles(table)
                for i in a.indices {
                    sums[i % columns] += a[i]
                    rowSums[Int(ids[i / columns]) * columns + i % columns] += a[i]
                }
                try withEveryKernel { choice in
                    let what = "\(rows)×\(columns) \(choice)"
                    var bias = before, embedding = table, y = other
                    try backend.accumulateColumnSums(x, into: &bias)
                    expectClose(try doubles(bias), sums, Self.tolerance * 8, "columns \(what)")
                    try backend.accumulateEmbeddingGradient(
                        x, ids: Tensor(ids, shape: [rows]), into: &embedding)
                    expectClose(try doubles(embedding), rowSums, Self.tolerance * 8, "embedding \(what)")
                    try backend.accumulate(x, into: &y, scale: -0.75)
                    expectClose(try doubles(y), zip(a, b).map { $1 - 0.75 * $0 }, Self.tolerance, "scaled \(what)")
                }
            }
        }
    }
}
