import CKernels
import Tensors
import Testing

extension KernelTests {
    @Suite struct LinearBackwardTests {
        private let backend = CPUBackend.shared

        /// x as it is multiplied when products may be in bfloat16.
        static func multiplied(_ x: Tensor, half: Bool) throws -> Tensor {
            half && moult_onednn_has_bfloat16() ? try x.converted(to: .bfloat16).converted(to: .float32) : x
        }

        static let extents = [
            (1, 1, 1), (1, 7, 3), (3, 17, 5), (33, 65, 17), (70, 3, 63), (257, 65, 193), (193, 576, 65),
        ]

        @Test(arguments: [DType.float32, .bfloat16, .float16])
        func inputGradientsAddUp(_ dtype: DType) throws {
            var random = Random(61)
            for (rows, inputs, outputs) in Self.extents {
                let weights = try [outputs, outputs + 2].map { try random.tensor([$0, inputs], dtype) }
                let gradients = try weights.map { try random.tensor([rows, $0.shape[0]]) }
                try withEveryKernel { choice in
                    for count in 1...2 {
                        var expected = [Double](repeating: 0, count: rows * inputs)
                        for (gradient, weight) in zip(gradients, weights).prefix(count) {
                            let term = GradientOracle.product(
                                try doubles(Self.multiplied(gradient, half: dtype == .bfloat16)), try doubles(weight),
                                rows: rows, depth: weight.shape[0], columns: inputs)
                            expected = zip(expected, term).map(+)
                        }
                        let found = try backend.linearBackward(
                            Array(gradients.prefix(count)), weights: Array(weights.prefix(count)))
                        #expect(found.shape == [rows, inputs])
                        expectClose(
                            try doubles(found), expected, LinearTests.tolerance(inputs: 2 * outputs + 2),
                            "\(rows)×\(inputs)×\(outputs) \(count) \(dtype) \(choice)")
                    }
                }
            }
        }

        @Test(arguments: [false, true])
        func weightGradientsAreAdded(_ half: Bool) throws {
            var random = Random(62)
            for (rows, inputs, outputs) in Self.extents {
                let x = try random.tensor([rows, inputs]), gradient = try random.tensor([rows, outputs])
                let before = try random.tensor([outputs, inputs])
                try withEveryKernel { choice in
                    let turned = GradientOracle.transposed(
                        try doubles(Self.multiplied(gradient, half: half)), rows: rows, columns: outputs)
                    let sum = GradientOracle.product(
                        turned, try doubles(Self.multiplied(x, half: half)), rows: outputs, depth: rows, columns: inputs
                    )
                    for (start, expected): (Tensor?, [Double]) in [
                        (before, zip(sum, try doubles(before)).map(+)), (nil, sum),
                    ] {
                        var weight: Tensor? = start
                        try backend.accumulateLinearGradient(gradient, x: x, into: &weight, half: half)
                        expectClose(
                            try doubles(#require(weight)), expected, LinearTests.tolerance(inputs: rows),
                            "\(rows)×\(inputs)×\(outputs) half \(half) from \(start == nil ? "nil" : "a sum") \(choice)"
                        )
                    }
                }
            }
        }

        @Test func resultsDoNotDependOnThreads() throws {
            var random = Random(63)
            let x = try random.tensor([700, 200]), gradient = try random.tensor([700, 300])
            let head = try random.tensor([300, 200], .bfloat16), full = try head.converted(to: .float32)
            for set in Set(KernelChoice.all.map(\.set)) {
                for oneDNN in [true, false] {
                    var results: [[[Float]]] = []
                    for threads in [1, 2, 2] {
                        try KernelChoice(set: set, threads: threads, oneDNN: oneDNN).run {
                            var weight: Tensor?, norm = try Tensor.zeros([200])
                            try backend.accumulateLinearGradient(gradient, x: x, into: &weight, half: true)
                            try backend.accumulateLinearGradient(gradient, x: x, into: &weight, half: false)
                            let back = try backend.linearBackward([gradient, gradient], weights: [head, full])
                            let ones = try Tensor([Float](repeating: 1, count: 200), shape: [200])
                            for kind in Normalisation.Kind.allCases {
                                _ = try backend.normalisedBackward(
                                    back, x: x, Normalisation(kind, weight: ones, epsilon: 1e-5), saved: nil,
                                    more: nil, weightGradient: &norm)
                            }
                            var headGradient: Tensor? = try .zeros([300, 200])
                            let loss = try backend.crossEntropy(
                                x, head: head, cap: nil,
                                targets: Tensor((0..<700).map { Int32($0 % 301) - 1 }, shape: [700]),
                                weighting: .init(scale: 1), headGradient: &headGradient)
                            results.append([
                                try #require(weight).array(), try back.array(), try norm.array(),
                                try loss.losses.array(),
                                try loss.hiddenGradient.array(), try headGradient?.array() ?? [],
                                [Float(try backend.sumOfSquares(back))],
                            ])
                        }
                    }
                    #expect(results[0] == results[1] && results[1] == results[2], "\(set), oneDNN \(oneDNN)")
                }
            }
        }
    }
}
