import Foundation
import Tensors
import Testing

func logSum(_ values: [Double]) -> Double { log(values.reduce(0) { $0 + exp($1) }) }

private func sigmoid(_ x: Double) -> Double { 1 / (1 + exp(-x)) }
private func logSigmoid(_ x: Double) -> Double { min(x, 0) - log1p(exp(-abs(x))) }

extension KernelTests {
    @Suite struct ElementwiseTests {
        static let shapes = [[1], [3, 1], [2, 17], [63], [5, 65], [9, 576], [70, 257]]
        /// Three units in the last place of float32, of which a few operations follow each other.
        static let tolerance = 0x1p-21

        @Test func addAndActivations() throws {
            var random = Random(5)
            for shape in Self.shapes {
                let x = try random.tensor(shape, scale: 12), y = try random.tensor(shape, scale: 5)
                let a = try doubles(x), b = try doubles(y)
                try withEveryKernel { choice in
                    let what = "\(shape) \(choice)"
                    expectClose(try doubles(x.adding(y)), zip(a, b).map(+), Self.tolerance, "add \(what)")
                    expectClose(try doubles(x.scaled(by: 0.3)), a.map { $0 * Double(Float(0.3)) }, Self.tolerance, what)
                    for activation in Activation.allCases {
                        expectClose(
                            try doubles(x.activated(activation)), GradientOracle.activated(activation, a),
                            Self.tolerance, "\(activation) \(what)")
                        expectClose(
                            try doubles(.gated(activation, gate: x, up: y)),
                            GradientOracle.gated(activation, gate: a, up: b), Self.tolerance,
                            "gated \(activation) \(what)")
                    }
                    expectClose(
                        try doubles(x.logGate(divisor: 8)), a.map { logSigmoid($0) / 8 }, Self.tolerance, "gate \(what)"
                    )
                }
            }
        }

        @Test func extremesStayFinite() throws {
            let values: [Float] = [-3e38, -1000, -104, -89, -88, -1e-30, 0, 1e-30, 17, 88, 89, 1000, 3e38]
            let x = try Tensor(values, shape: [values.count])
            try withEveryKernel { choice in
                let gates = try x.logGate(divisor: 8).array(Float.self)
                for (value, gate) in zip(values, gates) {
                    let expected = logSigmoid(Double(value)) / 8
                    // Relative: a gate near 1 has a log near 0 that must keep its digits.
                    #expect(abs(Double(gate) - expected) <= 0x1p-20 * abs(expected) + 0x1p-148, "\(value) \(choice)")
                }
                let silu = try x.activated(.silu).array(Float.self)
                for (value, found) in zip(values, silu) {
                    let expected = Double(value) * sigmoid(Double(value))
                    #expect(abs(Double(found) - expected) <= 0x1p-20 * abs(expected) + 0x1p-120, "\(value) \(choice)")
                }
                for activation in [Activation.gelu, .geluTanh] {
                    let found = try x.activated(activation).array(Float.self)
                    #expect(found == [0, 0, 0, 0, 0, -5e-31, 0, 5e-31, 17, 88, 89, 1000, 3e38], "\(activation)")
                }
            }
        }

        @Test func mixWeighsHeads() throws {
            var random = Random(6)
            for shape in [[1, 1, 1, 1], [2, 3, 5, 17], [1, 40, 9, 64], [1, 2, 3, 65]] {
                let x = try random.tensor(shape), y = try random.tensor(shape)
                let logits = try random.tensor(Array(shape.dropLast()), scale: 6)
                let a = try doubles(x), b = try doubles(y), l = try doubles(logits)
                let expected = a.indices.map { i -> Double in
                    let w = sigmoid(l[i / shape[3]])
                    return w * a[i] + (1 - w) * b[i]
                }
                try withEveryKernel { choice in
                    expectClose(try doubles(.mix(x, y, logits: logits)), expected, Self.tolerance, "\(shape) \(choice)")
                }
            }
        }

        @Test func rmsNormMatches() throws {
            var random = Random(7)
            for shape in Self.shapes {
                let dim = shape[shape.count - 1]
                let x = try random.tensor(shape, scale: 3), weight = try random.tensor([dim])
                let a = try doubles(x), w = try doubles(weight)
                let expected = a.indices.map { i -> Double in
                    let row = a[i / dim * dim..<(i / dim + 1) * dim]
                    let mean = row.reduce(0) { $0 + $1 * $1 } / Double(dim)
                    return a[i] / (mean + Double(Float(1e-5))).squareRoot() * w[i % dim]
                }
                try withEveryKernel { choice in
                    expectClose(
                        try doubles(x.rmsNorm(weight: weight, epsilon: 1e-5)), expected, Self.tolerance,
                        "\(shape) \(choice)")
                }
            }
        }

        @Test("heads are normed by themselves, and layers less their mean")
        func normsMatch() throws {
            var random = Random(71)
            for shape in Self.shapes.filter({ $0.last != 1 }) + [[2, 7, 3, 20]] {
                let dim = shape[shape.count - 1]
                let x = try random.tensor(shape, scale: 3), weight = try random.tensor([dim])
                let bias = try random.tensor([dim])
                let (a, w, b) = try (doubles(x), doubles(weight), doubles(bias))
                let epsilon = Double(Float(1e-5))
                let expected = GradientOracle.layerNorm(a, weight: w, bias: b, epsilon: epsilon)
                let plain = GradientOracle.layerNorm(a, weight: w, bias: nil, epsilon: epsilon)
                let rms = GradientOracle.rmsNorm(a, weight: w, epsilon: epsilon)
                try withEveryKernel { choice in
                    let what = "\(shape) \(choice)"
                    // Two elements may lie close together, and then their distance from their mean is their rounding.
                    let tolerance = dim == 2 ? 0x1p-18 : 4 * Self.tolerance
                    expectClose(
                        try doubles(x.layerNorm(weight: weight, bias: bias, epsilon: 1e-5)), expected, tolerance, what)
                    expectClose(
                        try doubles(x.layerNorm(weight: weight, epsilon: 1e-5)), plain, tolerance, "no bias, \(what)")
                    expectClose(
                        try doubles(x.rmsNorm(weight: weight, epsilon: 1e-5)), rms, Self.tolerance, "rms, \(what)")
                }
            }
        }

        @Test func ropeRotatesPairs() throws {
            var random = Random(8)
            for (shape, offset) in [
                ([1, 1, 1, 2], 0), ([2, 5, 3, 34], 4), ([1, 70, 9, 64], 3), ([1, 3, 2, 130], 0),
            ] {
                let half = shape[3] / 2
                let x = try random.tensor(shape)
                let angles = random.floats((shape[1] + 7) * half, scale: 3)
                let cosines = try Tensor(angles.map { cos($0) }, shape: [shape[1] + 7, half])
                let sines = try Tensor(angles.map { sin($0) }, shape: [shape[1] + 7, half])
                let a = try doubles(x), c = try doubles(cosines), s = try doubles(sines)
                let expected = a.indices.map { i -> Double in
                    let k = i % shape[3], token = i / (shape[3] * shape[2]) % shape[1]
                    let angle = (offset + token) * half + k % half
                    return k < half
                        ? a[i] * c[angle] - a[i + half] * s[angle] : a[i] * c[angle] + a[i - half] * s[angle]
                }
                try withEveryKernel { choice in
                    expectClose(
                        try doubles(x.rope(cosines: cosines, sines: sines, offset: offset)), expected, Self.tolerance,
                        "\(shape) \(choice)")
                }
            }
        }

        @Test("documents that begin anew turn as they do alone")
        func ropeOfDocuments() throws {
            var random = Random(88)
            let (x, starts) = (try random.tensor([1, 40, 3, 34]), [0, 1, 7, 30])
            let (cosines, sines) = (try random.tensor([45, 17]), try random.tensor([45, 17]))
            let separate = try zip(starts, starts.dropFirst() + [40]).flatMap { start, end in
                try x.reshaped([40, 3, 34]).rows(start..<end).reshaped([1, end - start, 3, 34])
                    .rope(cosines: cosines, sines: sines, offset: 5).array()
            }
            let packed = try x.rope(cosines: cosines, sines: sines, offset: 5, documents: Documents(starts))
            #expect(try packed.array() == separate)
        }

        @Test(arguments: [DType.float32, .bfloat16, .float16])
        func embeddingGathersRows(_ dtype: DType) throws {
            var random = Random(9)
            for dim in [1, 3, 17, 576] {
                let table = try random.tensor([11, dim], dtype), ids: [Int32] = [10, 0, 3, 3, 7]
                let all = try doubles(table)
                let expected = ids.flatMap { all[Int($0) * dim..<(Int($0) + 1) * dim] }
                try withEveryKernel { choice in
                    let found = try Tensor.embedding(ids, table: table)
                    #expect(found.shape == [5, dim])
                    #expect(try doubles(found) == expected, "\(dim) \(choice)")
                }
            }
        }
    }
}
