import CKernels
import Foundation
import Tensors
import TestSupport
import Testing

extension KernelTests {
    /// Heads, embeddings and losses with the vocabularies of published models. The table's rows repeat after `period` of them,
    /// so that every output is checked at the cost of a few.
    @Suite("Vocabularies at real shapes", .timeLimit(.minutes(5))) struct VocabularyShapeTests {
        private static let period = 48, inputs = 32
        static let vocabularies = [32_000, 49_152, 151_936, 262_144]

        /// A weight (outputs, 32) in `dtype`, and its first rows as float64.
        private func table(_ outputs: Int, _ dtype: DType, _ random: inout Random) throws -> (Tensor, [Double]) {
            let base: Tensor, values: [Double]
            if dtype.isQuantised {
                let weight = try GroupedWeight(dtype, outputs: Self.period, inputs: Self.inputs, random: &random)
                (base, values) = (weight.tensor, weight.values.map(Double.init))
            } else {
                base = try random.tensor([Self.period, Self.inputs], dtype)
                values = try doubles(base)
            }
            // Whole tile rows of a quantised weight repeat too.
            let bytes = try base.withUnsafeBytes { Array($0) }
            let whole = try Tensor([outputs, Self.inputs], dtype) { target in
                for start in stride(from: 0, to: target.count, by: bytes.count) {
                    let count = min(bytes.count, target.count - start)
                    UnsafeMutableRawBufferPointer(rebasing: target[start..<start + count])
                        .copyBytes(from: bytes.prefix(count))
                }
            }
            return (whole, values)
        }

        /// Logits (rows, outputs) that the first rows of the table give.
        private func logits(_ x: Tensor, _ rows: [Double], outputs: Int) throws -> [Double] {
            let a = try doubles(x)
            return stride(from: 0, to: a.count, by: Self.inputs).flatMap { start -> [Double] in
                let few = (0..<Self.period).map { row in
                    (0..<Self.inputs).reduce(0.0) { $0 + a[start + $1] * rows[row * Self.inputs + $1] }
                }
                return (0..<outputs).map { few[$0 % Self.period] }
            }
        }

        @Test("logits", arguments: vocabularies, [DType.float32, .bfloat16, .float16, .q8, .q4])
        func products(_ outputs: Int, _ dtype: DType) throws {
            var random = Random(UInt64(outputs))
            let (head, values) = try table(outputs, dtype, &random)
            let x =
                try dtype.isQuantised
                ? GroupedTests.exact(rows: 9, inputs: Self.inputs, random: &random) : random.tensor([9, Self.inputs])
            let expected = try logits(x, values, outputs: outputs)
            let many = try logits(LinearTests.multiplied(x, rows: 9, dtype: dtype), values, outputs: outputs)
            let fastest = KernelChoice.sets.count - 1
            for (index, set) in KernelChoice.sets.enumerated() {
                for rows in index == fastest ? [1, 5, 8, 9] : [1, 5] {
                    try KernelChoice(set: set, threads: 2, oneDNN: rows == 9).run {
                        expectClose(
                            try doubles(x.rows(0..<rows).linear(head)),
                            Array((rows == 9 ? many : expected).prefix(rows * outputs)),
                            4 * LinearTests.tolerance(inputs: Self.inputs), "\(rows) rows \(dtype) \(set)")
                    }
                }
            }
        }

        @Test("embeddings", arguments: vocabularies, [DType.float32, .bfloat16, .q8, .q4])
        func embedding(_ outputs: Int, _ dtype: DType) throws {
            var random = Random(UInt64(outputs))
            let (table, values) = try table(outputs, dtype, &random)
            let ids = [outputs - 1, 0, outputs / 2, outputs - Self.period].map(Int32.init)
            let expected = ids.flatMap { id -> ArraySlice<Double> in
                let start = Int(id) % Self.period * Self.inputs
                return values[start..<start + Self.inputs]
            }
            #expect(try doubles(Tensor.embedding(ids, table: table)) == expected)
        }

        @Test("losses and their gradients", arguments: [49_152, 262_144], [DType.float32, .bfloat16])
        func losses(_ outputs: Int, _ dtype: DType) throws {
            var random = Random(UInt64(outputs))
            let (head, values) = try table(outputs, dtype, &random)
            let hidden = try random.tensor([2, Self.inputs], scale: 2)
            let targets = [Int32(outputs - 1), 7]
            let logits = try logits(LinearTests.multiplied(hidden, rows: 9, dtype: dtype), values, outputs: outputs)
            let expected = GradientOracle.crossEntropy(logits, targets: targets)
            let weights = (0..<outputs).flatMap { row -> ArraySlice<Double> in
                let start = row % Self.period * Self.inputs
                return values[start..<start + Self.inputs]
            }
            let gradient = GradientOracle.product(
                expected.gradient, weights, rows: 2, depth: outputs, columns: Self.inputs)
            let backend = CPUBackend.shared
            try KernelChoice(set: KernelChoice.sets.last ?? "", threads: 2, oneDNN: true).run {
                let likelihood = try hidden.negativeLogLikelihood(head: head, targets: targets)
                expectClose(likelihood.map(Double.init), expected.losses, 1e-4, "likelihood")
                var headGradient: Tensor? = try .zeros([outputs, Self.inputs])
                let found = try backend.crossEntropy(
                    hidden, head: head, cap: nil, targets: Tensor(targets, shape: [2]), weighting: .init(scale: 1),
                    headGradient: &headGradient)
                expectClose(try doubles(found.losses), expected.losses, 1e-4, "losses")
                expectClose(try doubles(found.hiddenGradient), gradient, 0.01, "hidden")
                // Of the targets' rows: (softmax - 1) times the hidden state.
                let rows = try doubles(#require(headGradient).rows(outputs - 1..<outputs))
                let wanted = try zip(doubles(hidden.rows(0..<1)), doubles(hidden.rows(1..<2))).map {
                    expected.gradient[outputs - 1] * $0 + expected.gradient[2 * outputs - 1] * $1
                }
                expectClose(rows, wanted, 0.02, "head")
                let divergence = try backend.klDivergence(
                    hidden, head: head, cap: nil, teacherHidden: hidden, teacherHead: head, teacherCap: nil,
                    weighting: .init(scale: 1),
                    headGradient: &headGradient)
                #expect(try divergence.losses.array(Float.self).allSatisfy { abs($0) < 1e-5 })
            }
        }
    }
}
