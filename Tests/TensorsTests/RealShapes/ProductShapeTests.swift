import Tensors
import TestSupport
import Testing

extension KernelTests {
    /// Products at the widths of published models: a kernel's path depends on the inputs or on the outputs, so that one of
    /// the two is real and the other small.
    @Suite("Products at real shapes", .timeLimit(.minutes(5))) struct ProductShapeTests {
        /// One to few, one more than those, and 16 and one more: the ends of every block of rows that a kernel has.
        static let rows = [1, 2, 4, 5, 6, 7, 8, 9, 13, 16, 17, 20]

        /// Whole tile rows and a part of one.
        static let outputs = 33

        /// Rows are independent: the first of `rows` of one x give what they give alone.
        ///
        /// - Parameter expected: results of x as it is, and of x as many rows of it are multiplied.
        private func check(_ x: Tensor, _ weight: Tensor, _ expected: [[Double]]) throws {
            let outputs = weight.shape[0], inputs = weight.shape[1], dtype = weight.dtype
            for set in KernelChoice.sets {
                for rows in Self.rows {
                    // Threads share tile rows of outputs alone; the library is asked for many rows alone.
                    let choices = [
                        KernelChoice(set: set, threads: rows % 2 + 1, oneDNN: false),
                        KernelChoice(set: set, threads: 2 - rows % 2, oneDNN: true),
                    ]
                    for choice in rows > 8 ? choices : [choices[0]] {
                        try choice.run {
                            let many = dtype == .bfloat16 && rows > 8 && choice.oneDNN
                            let wanted = expected[many ? 1 : 0].prefix(rows * outputs)
                            expectClose(
                                try doubles(x.rows(0..<rows).linear(weight)), Array(wanted),
                                LinearTests.tolerance(inputs: inputs), "\(rows)×\(inputs) \(dtype) \(choice)")
                        }
                    }
                }
            }
        }

        @Test("few outputs of every width", arguments: ModelShape.widths, [DType.float32, .bfloat16, .float16])
        func widths(_ inputs: Int, _ dtype: DType) throws {
            var random = Random(UInt64(inputs))
            let x = try random.tensor([20, inputs]), weight = try random.tensor([Self.outputs, inputs], dtype)
            let rounded = try LinearTests.multiplied(x, rows: 20, dtype: dtype)
            let expected = [try LinearTests.naive(x, weight, nil), try LinearTests.naive(rounded, weight, nil)]
            try check(x, weight, expected)
        }

        /// Each output is summed on its own: threads share outputs out.
        @Test(
            "every bit is the same for one thread and two", arguments: [DType.float32, .bfloat16, .float16, .q8, .q4])
        func threads(_ dtype: DType) throws {
            var random = Random(7)
            let (inputs, outputs) = (14_336, 100)
            let x = try random.tensor([17, inputs])
            let weight =
                try dtype.isQuantised
                ? GroupedWeight(dtype, outputs: outputs, inputs: inputs, random: &random).tensor
                : random.tensor([outputs, inputs], dtype)
            for set in KernelChoice.sets {
                for rows in [1, 3, 5, 8, 17] {
                    let results = try [1, 2].map { threads in
                        var found: [Float] = []
                        try KernelChoice(set: set, threads: threads, oneDNN: true).run {
                            found = try x.rows(0..<rows).linear(weight).array()
                        }
                        return found
                    }
                    #expect(results[0] == results[1], "\(rows) rows, \(dtype) \(set)")
                }
            }
        }

        @Test("few outputs of every width, quantised", arguments: ModelShape.widths, [DType.q8, .q4])
        func quantisedWidths(_ inputs: Int, _ dtype: DType) throws {
            var random = Random(UInt64(inputs))
            let weight = try GroupedWeight(dtype, outputs: Self.outputs, inputs: inputs, random: &random)
            let x = try GroupedTests.exact(rows: 20, inputs: inputs, random: &random)
            let expected = try GroupedTests.naive(x, weight, nil)
            for set in KernelChoice.sets {
                for rows in Self.rows {
                    try KernelChoice(set: set, threads: rows % 2 + 1, oneDNN: false).run {
                        expectClose(
                            try doubles(x.rows(0..<rows).linear(weight.tensor)),
                            Array(expected.prefix(rows * Self.outputs)), 4 * LinearTests.tolerance(inputs: inputs),
                            "\(rows)×\(inputs) \(dtype) \(set)")
                    }
                }
            }
        }
    }
}
