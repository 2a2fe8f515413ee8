import Foundation
import Tensors
import TestSupport
import Testing

extension KernelTests {
    @Suite("Short convolutions, and rows of length 1")
    struct ShortConvolutionTests {
        /// One case: B, T, D, W, and where documents begin.
        struct Case: Sendable, CustomStringConvertible {
            var batch = 1
            let tokens, dim, width: Int
            var starts: [Int]?

            var description: String { "B \(batch), T \(tokens), D \(dim), W \(width), \(starts ?? [])" }
            var documents: Documents? { starts.map { Documents($0) } }

            static let all = [
                Case(batch: 2, tokens: 5, dim: 3, width: 4), Case(tokens: 1, dim: 1, width: 4),
                Case(batch: 3, tokens: 2, dim: 17, width: 4), Case(tokens: 9, dim: 33, width: 4, starts: [0, 2, 7]),
                Case(tokens: 3, dim: 5, width: 4, starts: [0, 2]), Case(tokens: 4, dim: 5, width: 1, starts: [0, 3]),
                Case(batch: 2, tokens: 70, dim: 19, width: 2),
                Case(tokens: 131, dim: 7, width: 3, starts: [0, 1, 64, 65]),
                Case(tokens: 20, dim: 4, width: 16), Case(tokens: 6, dim: 1030, width: 4, starts: [0, 3]),
            ]

            func tensors(_ seed: UInt64) throws -> (x: Tensor, weight: Tensor, bias: Tensor, state: Tensor) {
                var random = Random(seed)
                return (
                    try random.tensor([batch, tokens, dim]), try random.tensor([dim, width]),
                    try random.tensor([dim]), try random.tensor([batch, width - 1, dim])
                )
            }

            /// In float64: every token by itself.
            func expected(
                _ x: Tensor, _ weight: Tensor, _ bias: Tensor?, _ activation: Activation?, _ state: Tensor?
            ) throws -> (result: [Double], state: [Double]) {
                let (x, weight) = (try doubles(x), try doubles(weight))
                let (bias, past) = (try bias.map(doubles), try state.map(doubles))
                func start(_ token: Int) -> Int { starts?.last { $0 <= token } ?? 0 }
                func input(_ row: Int, _ token: Int, _ channel: Int, seenBy reader: Int) -> Double {
                    if token >= 0 { return token >= start(reader) ? x[(row * tokens + token) * dim + channel] : 0 }
                    guard let past, start(reader) == 0 else { return 0 }
                    return past[(row * (width - 1) + token + width - 1) * dim + channel]
                }
                var (result, final): ([Double], [Double]) = ([], [])
                for row in 0..<batch {
                    for token in 0..<tokens {
                        for channel in 0..<dim {
                            var sum = bias?[channel] ?? 0
                            for tap in 0..<width {
                                sum +=
                                    weight[channel * width + tap]
                                    * input(row, token - width + 1 + tap, channel, seenBy: token)
                            }
                            result.append(sum)
                        }
                    }
                    for token in tokens - width + 1..<tokens {
                        for channel in 0..<dim { final.append(input(row, token, channel, seenBy: tokens - 1)) }
                    }
                }
                return (activation.map { GradientOracle.activated($0, result) } ?? result, final)
            }
        }

        @Test("results and states are float64's", arguments: Case.all)
        func values(_ test: Case) throws {
            let (x, weight, bias, past) = try test.tensors(21)
            try withEveryKernel { choice in
                for activation in [nil] + Activation.allCases.map(Optional.some) {
                    let expected = try test.expected(x, weight, bias, activation, past)
                    var state = past
                    let found = try x.shortConvolution(
                        weight: weight, bias: bias, activation: activation, state: &state, documents: test.documents)
                    expectClose(try doubles(found), expected.result, 1e-6, "\(test), \(choice)")
                    #expect(try doubles(state) == expected.state)
                }
                let expected = try test.expected(x, weight, nil, nil, nil)
                let found = try x.shortConvolution(weight: weight, documents: test.documents)
                expectClose(try doubles(found), expected.result, 1e-6, "\(test), \(choice), with nothing before")
            }
        }

        @Test("gradients are differences", arguments: Case.all.prefix(6))
        func gradients(_ test: Case) throws {
            let (x, weight, bias, past) = try test.tensors(22)
            try withEveryKernel { choice in
                let inputs = [x, weight, bias] + (test.width > 1 ? [past] : [])
                try TapeGradients.check("\(test), \(choice)", inputs) {
                    var state = $0.count > 3 ? $0[3] : past
                    let result = try $0[0].shortConvolution(
                        weight: $0[1], bias: $0[2], activation: .silu, state: &state, documents: test.documents)
                    return test.width > 1 ? [result, state] : [result]
                }
                try TapeGradients.check("\(test), \(choice), without a state", [x, weight]) {
                    [try $0[0].shortConvolution(weight: $0[1], documents: test.documents)]
                }
            }
        }

        @Test("the gradient of a state alone goes back to the tokens that it holds")
        func stateAlone() throws {
            let (x, weight, _, past) = try Case(batch: 2, tokens: 2, dim: 3, width: 4).tensors(23)
            let tape = GradientTape()
            let (watched, before) = (tape.watch(x), tape.watch(past))
            var state = before
            _ = try watched.shortConvolution(weight: weight, state: &state)
            let gradient = try Tensor((0..<18).map { Float($0) }, shape: [2, 3, 3])
            state.variable?.begin(with: gradient)
            try tape.playBack()
            #expect(try watched.gradient?.array() == [3, 4, 5, 6, 7, 8, 12, 13, 14, 15, 16, 17] as [Float])
            #expect(
                try before.gradient?.array()
                    == [0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 9, 10, 11] as [Float])
        }

        @Test("segments and single tokens go on where the one before ended, to the bit")
        func segments() throws {
            let test = Case(batch: 2, tokens: 23, dim: 18, width: 4)
            let (x, weight, bias, past) = try test.tensors(24)
            try withEveryKernel { choice in
                var whole = past
                let expected = try x.shortConvolution(weight: weight, bias: bias, activation: .silu, state: &whole)
                for sizes in [[10, 13], [1, 2, 20], [Int](repeating: 1, count: 23)] {
                    var (state, start) = (past, 0)
                    for size in sizes {
                        let found = try x.stretch(from: start, count: size).shortConvolution(
                            weight: weight, bias: bias, activation: .silu, state: &state)
                        #expect(
                            try found.array() == expected.stretch(from: start, count: size).array(),
                            "\(sizes) at \(start), \(choice)")
                        start += size
                    }
                    #expect(try state.array() == whole.array(), "\(sizes), \(choice)")
                }
            }
        }

        @Test("rows side by side have documents of their own")
        func rows() throws {
            let test = Case(batch: 2, tokens: 6, dim: 5, width: 4)
            let (x, weight, bias, past) = try test.tensors(25)
            let first = try Tensor([0, 0, 2, 2, 2, 2, 0, 0, 0, 0, 4, 4] as [Int32], shape: [2, 6])
            var state = past
            let found = try x.shortConvolution(
                weight: weight, bias: bias, state: &state, documents: Documents(firstPositions: first))
            for (row, starts) in [[0, 2], [0, 4]].enumerated() {
                var own = try past.rows(row..<row + 1)
                let expected = try x.rows(row..<row + 1).shortConvolution(
                    weight: weight, bias: bias, state: &own, documents: Documents(starts))
                #expect(try found.rows(row..<row + 1).array() == expected.array())
                #expect(try state.rows(row..<row + 1).array() == own.array())
            }
        }

        @Test("the difference with the token before is a convolution of 2")
        func tokenShift() throws {
            let x = try Tensor([1, 2, 4, 8, 16, 32] as [Float], shape: [1, 3, 2])
            let weight = try Tensor([1, -1, 1, -1] as [Float], shape: [2, 2])
            var state = try Tensor([3, 5] as [Float], shape: [1, 1, 2])
            #expect(
                try x.shortConvolution(weight: weight, state: &state).array() == [2, 3, -3, -6, -12, -24] as [Float])
            #expect(try state.array() == [16, 32] as [Float])
        }

        @Test func l2Normed() throws {
            var random = Random(26)
            for shape in [[1], [3, 17], [2, 3, 2, 64], [5, 1100]] {
                let x = try random.tensor(shape, scale: 3), gradient = try random.tensor(shape)
                let (values, g, width) = (try doubles(x), try doubles(gradient), shape[shape.count - 1])
                var (expected, back) = ([Double](), [Double]())
                for start in stride(from: 0, to: values.count, by: width) {
                    let row = values[start..<start + width], pull = g[start..<start + width]
                    let size = (row.reduce(0) { $0 + $1 * $1 } + 1e-3).squareRoot()
                    let product = zip(row, pull).reduce(0) { $0 + $1.0 * $1.1 }
                    expected += row.map { $0 / size }
                    back += zip(row, pull).map { $1 / size - $0 * product / (size * size * size) }
                }
                try withEveryKernel { choice in
                    let tape = GradientTape()
                    let watched = tape.watch(x)
                    let y = try watched.l2Normed(epsilon: 1e-3)
                    y.variable?.begin(with: gradient)
                    try tape.playBack()
                    expectClose(try doubles(y), expected, 1e-6, "\(shape), \(choice)")
                    expectCloseInScale(try doubles(#require(watched.gradient)), back, 2e-6, "\(shape), \(choice)")
                }
            }
            let zeros = try Tensor.zeros([2, 3]).l2Normed(epsilon: 1e-6)
            #expect(try zeros.array() == [Float](repeating: 0, count: 6))
        }

        @Test("a gated norm per head is a norm and an expression")
        func gatedNorm() throws {
            var random = Random(27)
            let inputs = try [[2, 3, 2, 5], [2, 3, 2, 5], [5]].map { try random.tensor($0) }
            try TapeGradients.check("gated norm", inputs) {
                [try Tensor.pointwise($0[0].rmsNorm(weight: $0[2], epsilon: 1e-5), $0[1]) { $0 * .silu($1) }]
            }
        }

        @Test("what does not fit is one error")
        func refusals() throws {
            let x = try Tensor.zeros([1, 3, 4]), weight = try Tensor.zeros([4, 4])
            func expect(_ argument: String, _ found: [Int], _ expected: String, _ body: () throws -> Void) {
                #expect(
                    throws: TensorError.shape(
                        operation: "shortConvolution", argument: argument, expected: expected, found: found),
                    performing: body)
            }
            expect("x", [3, 4], "[any, any, any]") { _ = try x.reshaped([3, 4]).shortConvolution(weight: weight) }
            expect("x", [1, 0, 4], "at least one token, and no extent of 2³¹") {
                _ = try Tensor.zeros([1, 0, 4]).shortConvolution(weight: weight)
            }
            expect("weight", [3, 4], "[4, any]") { _ = try x.shortConvolution(weight: .zeros([3, 4])) }
            for width in [0, 17] {
                expect("weight", [4, width], "[4, 1 to 16]") { _ = try x.shortConvolution(weight: .zeros([4, width])) }
            }
            expect("bias", [3], "[4]") { _ = try x.shortConvolution(weight: weight, bias: .zeros([3])) }
            expect("state", [1, 4, 4], "[1, 3, 4]") {
                var state = try Tensor.zeros([1, 4, 4])
                _ = try x.shortConvolution(weight: weight, state: &state)
            }
            #expect(throws: TensorError.self) { _ = try x.shortConvolution(weight: weight, documents: [0, 2, 1]) }
            #expect(throws: TensorError.self) { _ = try Tensor.zeros([]).l2Normed(epsilon: 1e-6) }
        }
    }
}
