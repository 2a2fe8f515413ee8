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
        private let backend = CPUBackend.shared

        @Test func adamWMatchesTorch() throws {
            for (index, fixture) in try fixture("adamw", of: AdamWFixture.self).enumerated() {
                let start = try fixture.parameter.tensor
                try withEveryKernel { choice in
                    var parameters = [try Self.parameter(start, copy: true, weightDecay: fixture.weightDecay)]
                    for (step, pair) in zip(fixture.gradients, fixture.after).enumerated() {
                        // A power of two, so that scaling back is exact.
                        parameters[0].gradient = try Tensor(
                            try pair.0.tensor.array().map { $0 * 8 }, shape: start.shape)
                        let settings = AdamWSettings(
                            beta1: fixture.beta1, beta2: fixture.beta2, epsilon: fixture.epsilon,
                            rates: .init(
                                learningRate: Double(fixture.learningRate), step: step + 1, gradientScale: 0.125))
                        _ = try backend.adamW(&parameters, settings)
                        expectClose(
                            try doubles(parameters[0].value), try doubles(pair.1.tensor), 0x1p-20,
                            "case \(index), step \(step + 1), \(choice)")
                    }
                    let found = parameters[0]
                    expectClose(try doubles(found.first), try doubles(fixture.first.tensor), 0x1p-20, "first \(choice)")
                    // 1 - beta2 is rounded when beta2 is.
                    expectClose(try doubles(found.second), try doubles(fixture.second.tensor), 1e-4, "second \(choice)")
                    #expect(
                        try found.copy.map(doubles) == doubles(found.value.converted(to: .bfloat16)), "\(choice)")
                    #expect(try start.array(Float.self) == fixture.parameter.tensor.array(Float.self))
                }
            }
        }

        /// A parameter before its first step, with a gradient of zeros.
        private static func parameter(
            _ start: Tensor, copy: Bool = false, weightDecay: Float = 0
        ) throws -> AdamWParameter {
            AdamWParameter(
                value: start, gradient: try .zeros(start.shape), first: try .zeros(start.shape),
                second: try .zeros(start.shape), copy: copy ? try .empty(start.shape, .bfloat16) : nil,
                weightDecay: weightDecay)
        }

        private static func settings(clip: Double? = nil, scale: Double = 1) -> AdamWSettings {
            AdamWSettings(
                beta1: 0.9, beta2: 0.95, epsilon: 1e-8,
                rates: .init(learningRate: 0.01, step: 1, clip: clip, gradientScale: scale))
        }

        @Test func copyIsOptional() throws {
            var random = Random(81)
            let start = try random.tensor([70_001]), gradient = try random.tensor([70_001])
            try withEveryKernel { choice in
                let results = try [true, false].map { copies in
                    var parameters = [try Self.parameter(start, copy: copies)]
                    parameters[0].gradient = gradient
                    _ = try backend.adamW(&parameters, Self.settings())
                    return try parameters[0].value.array(Float.self)
                }
                #expect(results[0] == results[1], "\(choice)")
                // Both corrected moments of the first step are the gradient's: it moves by g / (|g| + epsilon).
                let moves = zip(results[0], try start.array(Float.self)).map { Double($0) - Double($1) }
                expectClose(
                    moves, try doubles(gradient).map { -0.01 * $0 / (abs($0) + 1e-8) }, 0x1p-22, "\(choice)")
            }
        }

        @Test("all gradients are clipped together, and one that is not finite changes nothing")
        func clippingAndRefusal() throws {
            let values = try [Tensor([Float(1)], shape: [1]), Tensor([Float(2), 3], shape: [2])]
            var parameters = try values.map { try Self.parameter($0) }
            parameters[0].gradient = try Tensor([Float(6)], shape: [1])
            parameters[1].gradient = try Tensor([Float(0), -8], shape: [2])
            // Scaled by a half the norm is 5; clipped to 1, the gradients are 0.6, 0 and -0.8.
            let outcome = try backend.adamW(&parameters, Self.settings(clip: 1, scale: 0.5)).read()
            #expect(outcome.norm == 5 && outcome.unfinite == nil)
            expectClose(try parameters.flatMap { try doubles($0.first) }, [0.06, 0, -0.08], 1e-7, "means")
            let before = try parameters.flatMap { try [$0.value, $0.first, $0.second].map { try doubles($0) } }
            parameters[1].gradient = try Tensor([Float(1), .infinity], shape: [2])
            #expect(try backend.adamW(&parameters, Self.settings(clip: 1)).read().unfinite == 1)
            #expect(try parameters.flatMap { try [$0.value, $0.first, $0.second].map { try doubles($0) } } == before)
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
