import Foundation
import Tensors
import Testing

/// One case of adamw.json: five steps of torch's AdamW.
private struct AdamWFixture: Decodable {
    var learningRate, beta1, beta2, epsilon, weightDecay: Float
    var parameter, first, second: FixtureTensor
    var gradients, after: [FixtureTensor]
}

extension KernelTests {
    @Suite struct OptimiserTests {
        private let backend = Device.cpu.backend

        @Test func adamWMatchesTorch() throws {
            for (index, fixture) in try fixture("adamw", of: AdamWFixture.self).enumerated() {
                try withEveryKernel { choice in
                    let start = try fixture.parameter.tensor
                    var parameter = start
                    var (first, second) = (try Tensor.zeros(start.shape), try Tensor.zeros(start.shape))
                    var copy: Tensor? = try .empty(start.shape, .bfloat16)
                    for (step, pair) in zip(fixture.gradients, fixture.after).enumerated() {
                        // A power of two, so that scaling back is exact.
                        let gradient = try Tensor(try pair.0.tensor.array().map { $0 * 8 }, shape: start.shape)
                        try backend.adamW(
                            parameter: &parameter, gradient: gradient, first: &first, second: &second, copy: &copy,
                            learningRate: fixture.learningRate, beta1: fixture.beta1, beta2: fixture.beta2,
                            epsilon: fixture.epsilon, weightDecay: fixture.weightDecay, step: step + 1,
                            gradientScale: 0.125)
                        expectClose(
                            try doubles(parameter), try doubles(pair.1.tensor), 0x1p-20,
                            "case \(index), step \(step + 1), \(choice)")
                    }
                    expectClose(try doubles(first), try doubles(fixture.first.tensor), 0x1p-20, "first \(choice)")
                    // 1 - beta2 is rounded when beta2 is.
                    expectClose(try doubles(second), try doubles(fixture.second.tensor), 1e-4, "second \(choice)")
                    #expect(try copy.map(doubles) == doubles(parameter.converted(to: .bfloat16)), "\(choice)")
                    #expect(try start.array(Float.self) == fixture.parameter.tensor.array(Float.self))
                }
            }
        }

        @Test func copyIsOptional() throws {
            var random = Random(81)
            let start = try random.tensor([70_001]), gradient = try random.tensor([70_001])
            try withEveryKernel { choice in
                var results: [[Float]] = []
                for copies in [true, false] {
                    var parameter = start
                    var (first, second) = (try Tensor.zeros(start.shape), try Tensor.zeros(start.shape))
                    var copy: Tensor? = copies ? try .empty(start.shape, .bfloat16) : nil
                    try backend.adamW(
                        parameter: &parameter, gradient: gradient, first: &first, second: &second, copy: &copy,
                        learningRate: 0.01, beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0, step: 1,
                        gradientScale: 1)
                    results.append(try parameter.array())
                }
                #expect(results[0] == results[1], "\(choice)")
                // Both corrected moments of the first step are the gradient's: it moves by g / (|g| + epsilon).
                let moves = zip(results[0], try start.array(Float.self)).map { Double($0) - Double($1) }
                expectClose(
                    moves, try doubles(gradient).map { -0.01 * $0 / (abs($0) + 1e-8) }, 0x1p-22, "\(choice)")
            }
        }

        @Test func sumOfSquares() throws {
            var random = Random(82)
            for count in [1, 17, 65_536, 200_003] {
                let x = try random.tensor([count], scale: 3)
                let expected = try doubles(x).reduce(0) { $0 + $1 * $1 }
                try withEveryKernel { choice in
                    let found = try backend.sumOfSquares(x)
                    #expect(abs(found - expected) <= 1e-12 * expected, "\(count) \(choice)")
                }
            }
            var values = [Float](repeating: 1e30, count: 100)
            try withEveryKernel { choice in
                // Squares beyond float32's range.
                let finite = try backend.sumOfSquares(Tensor(values, shape: [100]))
                #expect(abs(finite - 1e62) < 1e56, "\(choice)")
                for bad in [Float.nan, .infinity, -.infinity] {
                    values[99] = bad
                    #expect(try !backend.sumOfSquares(Tensor(values, shape: [100])).isFinite, "\(choice)")
                    values[99] = 1e30
                }
            }
        }
    }
}
