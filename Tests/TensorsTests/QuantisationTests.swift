import CKernels
import Foundation
import Tensors
import Testing

extension KernelTests {
    @Suite struct QuantisationTests {
        /// Σ (w - ŵ)² H (w - ŵ)ᵀ over outputs, in float64; H the identity when nil.
        private func loss(_ weight: [Float], _ rounded: Tensor, moment: [Double]? = nil) throws -> Double {
            let inputs = rounded.shape[1]
            let errors = zip(weight.map(Double.init), try doubles(rounded)).map { $0 - $1 }
            guard let moment else { return errors.reduce(0) { $0 + $1 * $1 } }
            var total = 0.0
            for start in stride(from: 0, to: errors.count, by: inputs) {
                for i in 0..<inputs {
                    for j in 0..<inputs { total += errors[start + i] * moment[i * inputs + j] * errors[start + j] }
                }
            }
            return total
        }

        /// Rounding each group of 32 to the 16 values between its smallest and largest.
        private func minimumToMaximum(_ weight: [Float]) -> [Float] {
            stride(from: 0, to: weight.count, by: 32).flatMap { start -> [Float] in
                let group = weight[start..<start + 32]
                let (low, high) = (group.min() ?? 0, group.max() ?? 0)
                let step = (high - low) / 15
                return group.map { low + ((($0 - low) / step).rounded() * step) }
            }
        }

        @Test("errors are small, and those that are reported", arguments: [(1, 32), (16, 64), (37, 96), (50, 576)])
        func errors(_ outputs: Int, _ inputs: Int) throws {
            var random = Random(5)
            // Of a bell shape, as weights are.
            let weight = (0..<outputs * inputs).map { _ in (0..<4).reduce(Float(0)) { sum, _ in sum + random.float() } }
            let tensor = try Tensor(weight, shape: [outputs, inputs])
            let plain = try loss(weight, Tensor(minimumToMaximum(weight), shape: [outputs, inputs]))
            try withEveryKernel { choice in
                for (dtype, bound) in [(DType.q8, 0.006), (.q4, 0.09)] {
                    let result = try tensor.quantised(to: dtype)
                    #expect(result.tensor.dtype == dtype && result.tensor.shape == tensor.shape)
                    let squared = try loss(weight, result.tensor)
                    #expect(abs(result.squaredError - squared) <= 1e-3 * squared, "\(choice)")
                    #expect(result.relativeError < bound, "\(dtype) \(choice)")
                    #expect(result.groups == outputs * inputs / 32)
                    // One group alone may be lucky either way.
                    if dtype == .q4 { #expect(squared < (outputs > 1 ? 0.87 : 1) * plain, "\(choice)") }
                }
            }
        }

        @Test("weights on a grid are found again, symmetric or not")
        func grids() throws {
            var random = Random(6)
            func weights(_ codes: ClosedRange<Int>) throws -> Tensor {
                let values = (0..<20 * 64).map { index -> Float in
                    // Every group has both ends, and so the scale.
                    let code =
                        index % 32 < 2
                        ? [codes.lowerBound, codes.upperBound][index % 32]
                        : codes.lowerBound + Int(random.next() % UInt64(codes.count))
                    return 0.03 * Float(code)
                }
                return try Tensor(values, shape: [20, 64])
            }
            let symmetric = try weights(-8...7).quantised(to: .q4)
            #expect(symmetric.relativeError < 1e-5 && symmetric.symmetricShare == 1)
            let positive = try weights(0...15).quantised(to: .q4)
            #expect(positive.relativeError < 1e-5 && positive.symmetricShare == 0)
            let eight = try weights(-127...127).quantised(to: .q8)
            #expect(eight.relativeError < 1e-3 && eight.symmetricShare == 1)
        }

        @Test("zeros stay zero", arguments: [DType.q8, .q4])
        func zeros(_ dtype: DType) throws {
            var values = [Float](repeating: 0, count: 3 * 64)
            values[64 + 40] = 1
            let rounded = try Tensor(values, shape: [3, 64]).quantised(to: dtype)
            let found = try rounded.tensor.converted(to: .float32).array()
            for (index, value) in found.enumerated() where index != 64 + 40 { #expect(value == 0) }
            #expect(abs(found[64 + 40] - 1) < 0.005)
        }

        @Test("feedback lowers the error of the output, and without correlation changes nothing")
        func feedback() throws {
            let (outputs, inputs, rows) = (40, 96, 512)
            var random = Random(7)
            let weight = random.floats(outputs * inputs)
            let tensor = try Tensor(weight, shape: [outputs, inputs])
            // Inputs that share a few directions, as those of a layer do.
            let directions = random.floats(12 * inputs)
            var x = random.floats(rows * inputs, scale: 0.2)
            for row in 0..<rows {
                for direction in 0..<12 {
                    let share = random.float()
                    for i in 0..<inputs { x[row * inputs + i] += share * directions[direction * inputs + i] }
                }
            }
            var exact = [Double](repeating: 0, count: inputs * inputs)
            for row in 0..<rows {
                for i in 0..<inputs {
                    for j in 0..<inputs {
                        exact[i * inputs + j] += Double(x[row * inputs + i]) * Double(x[row * inputs + j])
                    }
                }
            }
            try withEveryKernel { choice in
                var moment = InputMoment(inputs: inputs)
                for start in stride(from: 0, to: rows, by: 128) {
                    try moment.add(Tensor(Array(x[start * inputs..<(start + 128) * inputs]), shape: [2, 64, inputs]))
                }
                #expect(moment.rows == rows)
                let feedback = try ErrorFeedback(moment)
                for dtype in [DType.q8, .q4] {
                    let plain = try loss(weight, tensor.quantised(to: dtype).tensor, moment: exact)
                    let fed = try loss(
                        weight, tensor.quantised(to: dtype, feedback: feedback).tensor, moment: exact)
                    #expect(fed < 0.6 * plain, "\(dtype) \(choice): \(fed / plain)")
                }
                // Rows of the identity have the identity as their moment.
                var identity = InputMoment(inputs: inputs)
                let ones = (0..<inputs * inputs).map { Float($0 % (inputs + 1) == 0 ? 1 : 0) }
                try identity.add(Tensor(ones, shape: [inputs, inputs]))
                let same = try tensor.quantised(to: .q4, feedback: ErrorFeedback(identity)).tensor
                let bytes = try tensor.quantised(to: .q4).tensor.withUnsafeBytes { Array($0) }
                #expect(try same.withUnsafeBytes { Array($0) } == bytes, "\(choice)")
            }
        }

        @Test func refusals() throws {
            let weight = try Tensor([Float](repeating: 1, count: 64), shape: [2, 32])
            func refusal(_ body: () throws -> Void) -> String {
                do {
                    try body()
                    return "none"
                } catch { return "\(error)" }
            }
            #expect(refusal { _ = try weight.quantised(to: .bfloat16) }.contains("expected q8 or q4"))
            #expect(refusal { _ = try weight.quantised(to: .q8).tensor.quantised(to: .q4) }.contains("has type q8"))
            let odd = try Tensor([Float](repeating: 1, count: 66), shape: [2, 33])
            #expect(refusal { _ = try odd.quantised(to: .q4) }.contains("a multiple of 32"))
            for bad in [Float.nan, .infinity, -.infinity] {
                let tensor = try Tensor([Float](repeating: 1, count: 63) + [bad], shape: [2, 32])
                #expect(refusal { _ = try tensor.quantised(to: .q8) }.contains("finite"))
            }
            var moment = InputMoment(inputs: 64)
            #expect(refusal { _ = try ErrorFeedback(moment) }.contains("0 rows of 64 inputs"))
            #expect(refusal { try moment.add(weight) }.contains("[..., 64]"))
            try moment.add(Tensor.zeros([2, 64]))
            let dead = try ErrorFeedback(moment)
            #expect(refusal { _ = try weight.quantised(to: .q4, feedback: dead) }.contains("64"))
            #expect(try Tensor.zeros([2, 64]).quantised(to: .q4, feedback: dead).relativeError == 0)
        }
    }
}
