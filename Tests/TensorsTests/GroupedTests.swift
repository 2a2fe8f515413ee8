import CKernels
import Foundation
import Tensors
import Testing

extension KernelTests {
    @Suite struct GroupedTests {
        /// Outputs and inputs: whole and partial tile rows, odd and even numbers of groups.
        static let shapes = [(1, 32), (16, 64), (17, 96), (40, 160), (67, 576), (300, 32)]

        /// x (rows, inputs) that loses nothing when it is rounded to 8 bits by groups: integers, of which the largest is
        /// 127, times a power of two.
        static func exact(rows: Int, inputs: Int, random: inout Random) throws -> Tensor {
            var values: [Float] = []
            for _ in 0..<rows * inputs / 32 {
                let scale = Float(sign: .plus, exponent: -7 - Int(random.next() % 3), significand: 1)
                let largest = Int(random.next() % 32)
                for index in 0..<32 {
                    values.append(scale * (index == largest ? -127 : Float(Int(random.next() % 255) - 127)))
                }
            }
            return try Tensor(values, shape: [rows, inputs])
        }

        /// x · weightᵀ + bias in float64.
        static func naive(_ x: Tensor, _ weight: GroupedWeight, _ bias: Tensor?) throws -> [Double] {
            try LinearTests.naive(x, Tensor(weight.values, shape: weight.tensor.shape), bias)
        }

        @Test(arguments: [DType.q8, .q4])
        func wideningReadsTheLayout(_ dtype: DType) throws {
            var random = Random(21)
            for (outputs, inputs) in Self.shapes {
                let weight = try GroupedWeight(dtype, outputs: outputs, inputs: inputs, random: &random)
                #expect(weight.tensor.shape == [outputs, inputs])
                try withEveryKernel { choice in
                    let wide = try weight.tensor.converted(to: .float32)
                    #expect(try wide.array() == weight.values, "\(outputs)×\(inputs) \(choice)")
                    let ids = [outputs - 1, 0, outputs / 2].map(Int32.init)
                    let rows = ids.flatMap { weight.values[Int($0) * inputs..<(Int($0) + 1) * inputs] }
                    #expect(try Tensor.embedding(ids, table: weight.tensor).array() == rows, "\(choice)")
                }
                let half = try weight.tensor.converted(to: .bfloat16).converted(to: .float32)
                expectClose(try doubles(half), weight.values.map(Double.init), 0x1p-8, "bfloat16")
            }
        }

        @Test(arguments: [DType.q8, .q4])
        func productsMatchFloat64(_ dtype: DType) throws {
            var random = Random(22)
            for rows in Array(1...9) + [100] {
                for (index, (outputs, inputs)) in Self.shapes.enumerated() {
                    let weight = try GroupedWeight(dtype, outputs: outputs, inputs: inputs, random: &random)
                    let x = try Self.exact(rows: rows, inputs: inputs, random: &random)
                    let bias = (rows + index) % 2 == 0 ? try random.tensor([outputs]) : nil
                    let expected = try Self.naive(x, weight, bias)
                    try withEveryKernel { choice in
                        expectClose(
                            try doubles(x.linear(weight.tensor, bias: bias)), expected,
                            4 * LinearTests.tolerance(inputs: inputs),
                            "\(rows)×\(inputs)×\(outputs) \(dtype) \(choice)")
                    }
                }
            }
        }

        /// The largest sums that 8-bit integers have must not saturate.
        @Test(arguments: [DType.q8, .q4], [Float(1), -1])
        func largestCodesDoNotSaturate(_ dtype: DType, _ sign: Float) throws {
            var random = Random(23)
            let weight = try GroupedWeight(dtype, outputs: 20, inputs: 64, random: &random, extreme: true)
            for rows in [1, 3, 12] {
                let x = try Tensor([Float](repeating: sign, count: rows * 64), shape: [rows, 64])
                let expected = try Self.naive(x, weight, nil)
                try withEveryKernel { choice in
                    expectClose(
                        try doubles(x.linear(weight.tensor)), expected, 4 * LinearTests.tolerance(inputs: 64),
                        "\(rows) \(dtype) \(choice)")
                }
            }
        }

        @Test func roundingStaysWithinHalfAStep() throws {
            var random = Random(24)
            let (rows, inputs, outputs) = (3, 96, 33)
            let x = try random.tensor([rows, inputs], scale: 5)
            let values = try x.array(Float.self)
            for dtype in [DType.q8, .q4] {
                let weight = try GroupedWeight(dtype, outputs: outputs, inputs: inputs, random: &random)
                let expected = try Self.naive(x, weight, nil)
                try withEveryKernel { choice in
                    let found = try doubles(x.linear(weight.tensor))
                    for row in 0..<rows {
                        for output in 0..<outputs {
                            var bound = 1e-5
                            for group in 0..<inputs / 32 {
                                let start = row * inputs + group * 32
                                let step = (values[start..<start + 32].map(abs).max() ?? 0) / 127
                                for input in group * 32..<group * 32 + 32 {
                                    bound += Double(abs(weight.values[output * inputs + input]) * step / 2)
                                }
                            }
                            let index = row * outputs + output
                            #expect(abs(found[index] - expected[index]) <= bound, "\(dtype) \(choice)")
                        }
                    }
                }
            }
        }

        @Test(arguments: [1, 8, 9, 300])
        func everyTypeInOneCall(_ rows: Int) throws {
            var random = Random(25)
            let inputs = 64
            let x = try Self.exact(rows: rows, inputs: inputs, random: &random)
            let q8 = try GroupedWeight(.q8, outputs: 300, inputs: inputs, random: &random)
            let q4 = try GroupedWeight(.q4, outputs: 7, inputs: inputs, random: &random)
            let plain = [
                try random.tensor([19, inputs]), try random.tensor([33, inputs], .bfloat16),
                try random.tensor([129, inputs], .float16),
            ]
            let weights = [plain[0], q4.tensor, plain[1], q8.tensor, plain[2]]
            let biases = [nil, try random.tensor([7]), nil, try random.tensor([300]), nil]
            try withEveryKernel { choice in
                let found = try x.linear(weights, biases: biases)
                let expected = [
                    try LinearTests.naive(x, plain[0], nil), try Self.naive(x, q4, biases[1]),
                    try LinearTests.naive(
                        LinearTests.multiplied(x, rows: rows, dtype: .bfloat16), plain[1], nil),
                    try Self.naive(x, q8, biases[3]), try LinearTests.naive(x, plain[2], nil),
                ]
                for (index, found) in found.enumerated() {
                    #expect(found.shape == [rows, weights[index].shape[0]])
                    expectClose(
                        try doubles(found), expected[index], 4 * LinearTests.tolerance(inputs: inputs),
                        "\(weights[index].dtype), \(rows) rows, \(choice)")
                }
            }
        }

        @Test(arguments: [DType.q8, .q4])
        func likelihoodMatchesFloat64(_ dtype: DType) throws {
            var random = Random(26)
            for (rows, inputs, outputs) in [(1, 32, 1), (9, 64, 3), (130, 96, 1027), (33, 32, 513)] {
                let hidden = try Self.exact(rows: rows, inputs: inputs, random: &random)
                let head = try GroupedWeight(dtype, outputs: outputs, inputs: inputs, random: &random)
                let targets = (0..<rows).map { Int32(($0 * 7919) % outputs) }
                let logits = try Self.naive(hidden, head, nil)
                let expected = (0..<rows).map { row in
                    logSum(Array(logits[row * outputs..<(row + 1) * outputs]))
                        - logits[row * outputs + Int(targets[row])]
                }
                try withEveryKernel { choice in
                    expectClose(
                        try hidden.negativeLogLikelihood(head: head.tensor, targets: targets).map(Double.init),
                        expected, 6 * LinearTests.tolerance(inputs: inputs), "\(rows)×\(outputs) \(choice)")
                }
            }
        }

        @Test(arguments: [Float.infinity, -.infinity, .nan])
        func whatIsNotFiniteShows(_ value: Float) throws {
            var random = Random(27)
            let weight = try GroupedWeight(.q4, outputs: 5, inputs: 64, random: &random)
            var x = try random.tensor([2, 64])
            let clean = try x.linear(weight.tensor).array(Float.self)
            try x.withMutable(Float.self) { $0[40] = value }
            try withEveryKernel { choice in
                let found = try x.linear(weight.tensor).array(Float.self)
                #expect(found.prefix(5).filter(\.isFinite).isEmpty, "\(choice)")
                #expect(found.suffix(5).filter(\.isFinite).count == 5, "\(choice)")
            }
            #expect(clean.filter(\.isFinite).count == 10)
        }

        @Test(arguments: [DType.q8, .q4])
        func zerosAreZero(_ dtype: DType) throws {
            let x = try Tensor([Float](repeating: 0, count: 64), shape: [1, 64])
            var random = Random(28)
            let weight = try GroupedWeight(dtype, outputs: 18, inputs: 64, random: &random)
            let empty = try Tensor.zeros([18, 64], dtype), other = try random.tensor([1, 64])
            let zeros = [Float](repeating: 0, count: 18)
            try withEveryKernel { choice in
                let found = [try x.linear(weight.tensor).array(Float.self), try other.linear(empty).array()]
                #expect(found == [zeros, zeros], "\(choice)")
            }
        }
    }
}
