import Foundation
import Tensors
import TestSupport
import Testing

extension KernelTests {
    @Suite("Expressions over the elements of tensors")
    struct PointwiseTests {
        /// The elements of x and y that are within float32, and 0 for those that are beyond it in both.
        private func expectSame(
            _ found: [Float], _ expected: [Double], _ function: PointwiseFunction, _ what: String
        ) {
            for (index, (found, expected)) in zip(found, expected).enumerated() {
                let single = Float(expected)
                if Double(found) == expected || found == single { continue }
                let error = abs(Double(found) - expected)
                // A few units in the last place, those of the smallest numbers included.
                let limit = 1e-6 * (function.isRelative ? abs(expected) : max(1, abs(expected))) + 1e-44
                #expect(error <= limit, "\(function) \(what) at \(index): \(found) for \(expected)")
            }
        }

        @Test("every function and its slope are float64's, for numbers of all sizes", arguments: PointwiseFunction.all)
        func functions(_ function: PointwiseFunction) throws {
            try withEveryKernel { choice in
                for count in [1, 3, 16, 67, 1025, 9001] {
                    let x = try PointwiseFunction.arguments(count, least: function.least)
                    let tape = GradientTape()
                    let watched = tape.watch(x)
                    let y = try Tensor.pointwise(watched) { function.expression($0) }
                    try y.variable?.begin(with: Tensor([Float](repeating: 1, count: count), shape: [count]))
                    try tape.playBack()
                    let numbers = try doubles(x)
                    expectSame(try y.array(), numbers.map(function.value), function, "(\(choice))")
                    // At 0 the slopes of c / x and 1 / √x are infinite, or not there.
                    let slopes = numbers.map(function.slope)
                    let found = try #require(watched.gradient).array(Float.self)
                    let finite = slopes.indices.filter { abs(slopes[$0]) < 3e38 }
                    expectSame(finite.map { found[$0] }, finite.map { slopes[$0] }, function, "slope (\(choice))")
                }
            }
        }

        @Test("NaN passes through every function and its slope", arguments: PointwiseFunction.all)
        func nan(_ function: PointwiseFunction) throws {
            try withEveryKernel { choice in
                let tape = GradientTape()
                let x = try tape.watch(Tensor([1, .nan, 2, .nan, 3] as [Float], shape: [5]))
                let y = try Tensor.pointwise(x) { function.expression($0) }
                #expect(try y.array().map(\.isNaN) == [false, true, false, true, false], "\(function), \(choice)")
                guard !function.description.allSatisfy({ "xc +-/".contains($0) }) else { return }
                try y.variable?.begin(with: Tensor([1, 1, 1, 1, 1] as [Float], shape: [5]))
                try tape.playBack()
                let slopes = try #require(x.gradient).array(Float.self).map(\.isNaN)
                #expect(slopes == [false, true, false, true, false], "\(function), \(choice)")
            }
        }

        @Test func operators() throws {
            var random = Random(5)
            let (x, y) = (try random.tensor([3, 50]), try random.tensor([3, 50]))
            let expected = zip(try doubles(x), try doubles(y)).map { x, y in
                (x + y) * (x - y) / (y * y + 2) + 3 * x - (1 - y) / 4 - 5 / (x * x + 1)
            }
            try withEveryKernel { choice in
                let found = try Tensor.pointwise(x, y) { x, y in
                    let quotient = (x + y) * (x - y) / (y * y + 2)
                    return quotient + 3 * x - (1 - y) / 4 - 5 / (x * x + 1)
                }
                expectClose(try doubles(found), expected, 1e-6, "\(choice)")
            }
        }

        /// Shapes that go together.
        static let shapes: [[[Int]]] = [
            [[2, 3, 4, 5], [5], [2, 3, 4, 1]], [[2, 3, 4, 5], [4, 5], [4, 1]], [[2, 3, 4, 5], [], [2, 1, 1, 1]],
            [[7, 9], [9], [7, 1]], [[1, 3], [3], [1]], [[5, 1], [1, 6], [1, 1]], [[6], [6], [6]], [[], [], [1]],
            [[3, 2, 2], [1, 2, 2], [2]],
        ]

        @Test("gradients of inputs that go along are sums", arguments: shapes)
        func broadcasts(_ shapes: [[Int]]) throws {
            var random = Random(11)
            let inputs = try shapes.map { try random.tensor($0) }
            try withEveryKernel { choice in
                try TapeGradients.check("\(shapes), \(choice)", inputs) {
                    [try Tensor.pointwise($0[0], $0[1], $0[2]) { x, y, z in x * .sigmoid(y) + z * .tanh(x * y) }]
                }
                guard !shapes[0].isEmpty else { return }
                try TapeGradients.check("sums, \(shapes), \(choice)", inputs) {
                    [try Tensor.pointwiseSums($0) { $0[0] * .sigmoid($0[1]) + $0[2] * .tanh($0[0] * $0[1]) }]
                }
            }
        }

        @Test("values go along as their shapes say, in rows that do not fit a block")
        func values() throws {
            var random = Random(12)
            for (rows, heads, width) in [(1, 1, 1), (70, 3, 17), (3, 2, 1100), (700, 1, 40), (2, 3, 1024)] {
                let x = try random.tensor([rows, heads, width]), gradient = try random.tensor([rows, heads, width])
                let (weight, perHead) = (try random.tensor([width]), try random.tensor([heads, 1]))
                let perRow = try random.tensor([rows, heads, 1])
                let (a, g) = (try doubles(x), try doubles(gradient))
                let (w, h, r) = (try doubles(weight), try doubles(perHead), try doubles(perRow))
                var (expected, sums) = ([Double](repeating: 0, count: a.count), [Double](repeating: 0, count: r.count))
                var (dw, dh) = ([Double](repeating: 0, count: width), [Double](repeating: 0, count: heads))
                var dr = sums
                for i in a.indices {
                    let (row, head, column) = (i / width, i / width % heads, i % width)
                    expected[i] = a[i] * w[column] + h[head] * r[row]
                    sums[row] += expected[i]
                    dw[column] += g[i] * a[i]
                    dh[head] += g[i] * r[row]
                    dr[row] += g[i] * h[head]
                }
                let inputs = [x, weight, perHead, perRow]
                var bits: [String: [[Float]]] = [:]
                try withEveryKernel { choice in
                    let what = "\(rows) \(heads) \(width), \(choice)"
                    let tape = GradientTape()
                    let watched = inputs.map { tape.watch($0) }
                    let y = try Tensor.pointwise(watched) { $0[0] * $0[1] + $0[2] * $0[3] }
                    expectClose(try doubles(y), expected, 1e-6, what)
                    let rowSums = try Tensor.pointwiseSums(inputs) { $0[0] * $0[1] + $0[2] * $0[3] }
                    #expect(rowSums.shape == [rows, heads, 1])
                    expectCloseInScale(try doubles(rowSums), sums, 2e-6, "sums, \(what)")
                    y.variable?.begin(with: gradient)
                    try tape.playBack()
                    for (input, expected) in zip(watched.dropFirst(), [dw, dh, dr]) {
                        expectCloseInScale(try doubles(#require(input.gradient)), expected, 2e-6, "gradient, \(what)")
                    }
                    // The number of threads changes no bit.
                    let found =
                        try [y, rowSums].map { try $0.array() } + watched.map { try #require($0.gradient).array() }
                    if let before = bits[choice.set] { #expect(found == before, "\(what)") }
                    bits[choice.set] = found
                }
            }
        }

        @Test("hand-written operations are these expressions, and so are their gradients")
        func handWritten() throws {
            var random = Random(13)
            let (x, y) = (try random.tensor([2, 3, 4, 33], scale: 4), try random.tensor([2, 3, 4, 33]))
            let logits = try random.tensor([2, 3, 4, 1], scale: 4)
            func compare(
                _ what: String, _ inputs: [Tensor], _ one: TapeGradients.Function, _ other: TapeGradients.Function
            ) throws {
                let (expected, found) = (try one(inputs)[0], try other(inputs)[0])
                expectClose(try doubles(found), try doubles(expected), 1e-6, what)
                let gradients = zip(try TapeGradients.onTape(inputs, one), try TapeGradients.onTape(inputs, other))
                for (expected, found) in gradients {
                    expectCloseInScale(
                        try doubles(#require(found)), try doubles(#require(expected)), 2e-6, "gradient of \(what)")
                }
            }
            try withEveryKernel { choice in
                try compare("mix, \(choice)", [x, y, logits]) {
                    [try Tensor.mix($0[0], $0[1], logits: $0[2].reshaped([2, 3, 4]))]
                } _: {
                    [try Tensor.pointwise($0[0], $0[1], $0[2]) { x, y, w in x * .sigmoid(w) + y * .sigmoid(-w) }]
                }
                try compare("logGate, \(choice)", [x]) {
                    [try $0[0].logGate(divisor: 8)]
                } _: {
                    [try Tensor.pointwise($0[0]) { .logSigmoid($0) / 8 }]
                }
                for activation in Activation.allCases {
                    try compare("gated \(activation), \(choice)", [x, y]) {
                        [try Tensor.gated(activation, gate: $0[0], up: $0[1])]
                    } _: {
                        [try Tensor.pointwise($0[0], $0[1]) { .activated($0, activation) * $1 }]
                    }
                }
            }
        }

        @Test("what belongs to a head, a row or a channel alone, used in several places")
        func narrow() throws {
            var random = Random(14)
            let inputs = try [[2, 5, 3, 4], [3, 1], [3, 4], [4], [2, 5, 1, 1]].map { try random.tensor($0) }
            try TapeGradients.check("decays", inputs) {
                [
                    try Tensor.pointwise($0) { v in
                        let decay: Pointwise = -.exp(v[1]) * .softplus(v[0] + v[2] * 2)
                        let perRow = 1 + .tanh(v[4])
                        return .exp(decay) * perRow + .sigmoid(v[3]) * perRow + .exp(v[1])
                    }
                ]
            }
            try TapeGradients.check("nothing of the whole's size", [inputs[1], inputs[3]]) {
                [try Tensor.pointwise($0[0], $0[1]) { .exp($0) * .sigmoid($1) }]
            }
            try TapeGradients.check("a result that depends on one input", [inputs[3]]) {
                [try Tensor.pointwise(inputs[0], $0[0]) { .exp($1) }]
            }
        }

        @Test("inputs without a part in the result, and results that are an input, need no computing")
        func trivial() throws {
            let tape = GradientTape()
            let x = try tape.watch(Tensor([1, 2, 3, 4, 5, 6] as [Float], shape: [2, 3])),
                bias = try tape.watch(Tensor([1, 2, 3] as [Float], shape: [3]))
            let y = try Tensor.pointwise(x, bias) { x, _ in x }
            #expect(try y.array() == [1, 2, 3, 4, 5, 6])
            let spread = try Tensor.pointwise(x, bias) { $1 }
            #expect(try spread.array() == [1, 2, 3, 1, 2, 3] as [Float])
            let gradient = try Tensor([1, 0, 2, 0, 3, 0] as [Float], shape: [2, 3])
            y.variable?.begin(with: gradient)
            spread.variable?.begin(with: gradient)
            try tape.playBack()
            #expect(try x.gradient?.array() == [1, 0, 2, 0, 3, 0] as [Float])
            #expect(try bias.gradient?.array() == [1, 3, 2] as [Float])
        }

        @Test("one tensor as two inputs gets both gradients")
        func twice() throws {
            let tape = GradientTape()
            let x = try tape.watch(Tensor([2, -3] as [Float], shape: [2]))
            let y = try Tensor.pointwise(x, x) { $0 * $0 * $1 }
            try y.variable?.begin(with: Tensor([1, 1] as [Float], shape: [2]))
            try tape.playBack()
            #expect(try x.gradient?.array() == [12, 27] as [Float])
        }

        @Test("no elements are no work, and give gradients of zeros")
        func empty() throws {
            let tape = GradientTape()
            let x = try tape.watch(Tensor.zeros([0, 3])),
                weight = try tape.watch(Tensor([1, 2, 3] as [Float], shape: [3]))
            let y = try Tensor.pointwise(x, weight) { $0 * $1 }
            #expect(y.shape == [0, 3])
            try y.variable?.begin(with: .zeros([0, 3]))
            try tape.playBack()
            #expect(try weight.gradient?.array() == [0, 0, 0] as [Float])
            #expect(try Tensor.pointwiseSums([.zeros([2, 0])]) { $0[0] }.array() == [0, 0] as [Float])
        }

        @Test("what does not go together is one error")
        func refusals() throws {
            let x = try Tensor.zeros([2, 3, 4])
            func expect(_ error: TensorError, _ body: () throws -> Tensor) {
                #expect(throws: error) { _ = try body() }
            }
            expect(
                .shape(
                    operation: "pointwise", argument: "input 1", expected: "extents of [2, 3, 4], or 1", found: [3])
            ) { try Tensor.pointwise(x, .zeros([3])) { $0 + $1 } }
            expect(
                .shape(
                    operation: "pointwise", argument: "input 1",
                    expected: "the last extents of [2, 3, 4], or the first of them and then ones", found: [2, 1, 4])
            ) { try Tensor.pointwise(x, .zeros([2, 1, 4])) { $0 + $1 } }
            expect(
                .dtype(operation: "pointwise", argument: "input 1", expected: "float32", found: .bfloat16)
            ) { try Tensor.pointwise(x, .zeros([4], .bfloat16)) { $0 + $1 } }
            expect(.dtype(operation: "pointwise", argument: "type", expected: "float32", found: .bfloat16)) {
                try Tensor.pointwise(x, as: .bfloat16) { -$0 }
            }
            expect(.range(operation: "pointwise", argument: "inputs", expected: "at least one", found: "none")) {
                try Tensor.pointwise([]) { $0[0] }
            }
            expect(.range(operation: "pointwise", argument: "inputs", expected: "at most 16", found: "17")) {
                try Tensor.pointwise([Tensor](repeating: x, count: 17)) { $0[0] }
            }
            expect(.range(operation: "pointwise", argument: "expression", expected: "at most 64 steps", found: "65")) {
                try Tensor.pointwise(x) { x in (0..<65).reduce(x) { x, step in x + Float(step) } }
            }
            let sides = try (0..<4).map { side in
                try Tensor.zeros((0..<4).map { $0 == side ? 1 << 16 : 1 })
            }
            expect(
                .shape(
                    operation: "pointwise", argument: "result", expected: "extents that memory can hold",
                    found: [1 << 16, 1 << 16, 1 << 16, 1 << 16])
            ) { try Tensor.pointwise(sides) { $0[0] + $0[1] + $0[2] + $0[3] } }
            expect(
                .range(
                    operation: "pointwise", argument: "expression", expected: "one of these 1 inputs",
                    found: "inputs of another")
            ) {
                var other: Pointwise?
                _ = try Tensor.pointwise(x, x) { x, y in
                    other = y
                    return x + y
                }
                return try Tensor.pointwise(x) { other ?? $0 }
            }
            expect(
                .shape(operation: "pointwiseSums", argument: "inputs", expected: "a last dimension", found: [])
            ) { try Tensor.pointwiseSums([.zeros([])]) { $0[0] } }
        }
    }
}
