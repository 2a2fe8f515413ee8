import CKernels
import Tensors
import Testing

extension KernelTests {
    @Suite struct LinearTests {
        /// x (rows, inputs) · weight (outputs, inputs)ᵀ + bias, in float64.
        static func naive(_ x: Tensor, _ weight: Tensor, _ bias: Tensor?) throws -> [Double] {
            let inputs = weight.shape[1], outputs = weight.shape[0]
            let a = try doubles(x), w = try doubles(weight), b = try bias.map(doubles)
            var result: [Double] = []
            for row in 0..<a.count / inputs {
                for output in 0..<outputs {
                    var sum = b?[output] ?? 0
                    for i in 0..<inputs { sum += a[row * inputs + i] * w[output * inputs + i] }
                    result.append(sum)
                }
            }
            return result
        }

        /// Rounding of float32 sums of `inputs` products of numbers below 1.
        static func tolerance(inputs: Int) -> Double { Double(inputs + 8) * 0x1p-24 }

        /// x as the kernels multiply it: many rows are rounded to bfloat16 for bfloat16 weights where the processor
        /// multiplies bfloat16.
        static func multiplied(_ x: Tensor, rows: Int, dtype: DType) throws -> Tensor {
            let rounded = dtype == .bfloat16 && rows > 8 && moult_onednn_has_bfloat16()
            return rounded ? try x.converted(to: .bfloat16).converted(to: .float32) : x
        }

        @Test(arguments: [DType.float32, .bfloat16, .float16])
        func matchesFloat64(_ dtype: DType) throws {
            var random = Random(1)
            let dims = [1, 3, 17, 63, 65, 576]
            for rows in Array(1...9) + [33, 257] {
                for (index, inputs) in dims.enumerated() {
                    // Pairs each input extent with two output extents; large ones only with few rows, to stay quick.
                    for outputs in [dims[(index + rows) % dims.count], dims[(index + 3) % dims.count]] {
                        if rows * inputs * outputs > 20_000_000 { continue }
                        let x = try random.tensor([rows, inputs]), weight = try random.tensor([outputs, inputs], dtype)
                        let bias = (rows + index) % 2 == 0 ? try random.tensor([outputs]) : nil
                        try withEveryKernel { choice in
                            let expected = try Self.naive(Self.multiplied(x, rows: rows, dtype: dtype), weight, bias)
                            expectClose(
                                try doubles(x.linear(weight, bias: bias)), expected, Self.tolerance(inputs: inputs),
                                "\(rows)×\(inputs)×\(outputs) \(dtype) \(choice)")
                        }
                    }
                }
            }
        }

        @Test(arguments: [1, 4, 20, 300])
        func severalWeightsEqualOneByOne(_ rows: Int) throws {
            var random = Random(2)
            let x = try random.tensor([rows, 65])
            let weights = [
                try random.tensor([300, 65], .bfloat16), try random.tensor([7, 65]),
                try random.tensor([129, 65], .float16),
            ]
            let biases = [nil, try random.tensor([7]), nil]
            try withEveryKernel { choice in
                let together = try x.linear(weights, biases: biases)
                for (index, weight) in weights.enumerated() {
                    #expect(together[index].shape == [rows, weight.shape[0]])
                    let multiplied = try Self.multiplied(x, rows: rows, dtype: weight.dtype)
                    expectClose(
                        try doubles(together[index]), try Self.naive(multiplied, weight, biases[index]),
                        Self.tolerance(inputs: 65), "\(index) \(choice)")
                }
            }
        }

        @Test func longInputsAccumulateOverBlocks() throws {
            var random = Random(3)
            for rows in [2, 13] {
                let x = try random.tensor([rows, 1601]), weight = try random.tensor([37, 1601])
                let expected = try Self.naive(x, weight, nil)
                try withEveryKernel { choice in
                    expectClose(
                        try doubles(x.linear(weight)), expected,
                        Self.tolerance(inputs: 1601), "\(choice)")
                }
            }
        }

        @Test(arguments: [DType.float32, .bfloat16, .float16])
        func likelihoodMatchesFloat64(_ dtype: DType) throws {
            var random = Random(4)
            for (rows, inputs, outputs) in [(1, 1, 1), (9, 17, 3), (130, 65, 1027), (33, 63, 513)] {
                let hidden = try random.tensor([rows, inputs], scale: 3)
                let head = try random.tensor([outputs, inputs], dtype)
                let targets = (0..<rows).map { Int32(($0 * 7919) % outputs) }
                try withEveryKernel { choice in
                    let logits = try Self.naive(Self.multiplied(hidden, rows: 9, dtype: dtype), head, nil)
                    let expected = (0..<rows).map { row -> Double in
                        let mine = logits[row * outputs..<(row + 1) * outputs]
                        let most = mine.max() ?? 0
                        return most + logSum(mine.map { $0 - most }) - logits[row * outputs + Int(targets[row])]
                    }
                    let found = try hidden.negativeLogLikelihood(head: head, targets: targets)
                    expectClose(
                        found.map(Double.init), expected,
                        6 * Self.tolerance(inputs: inputs), "\(rows)×\(outputs) \(choice)")
                }
            }
        }

        @Test func likelihoodSurvivesLargeLogits() throws {
            let hidden = try Tensor([Float(1000), -1000], shape: [2, 1])
            let head = try Tensor([Float(1), 0, -1], shape: [3, 1])
            try withEveryKernel { _ in
                let found = try hidden.negativeLogLikelihood(head: head, targets: [0, 0])
                #expect(found == [0, 2000])
            }
        }
    }
}
