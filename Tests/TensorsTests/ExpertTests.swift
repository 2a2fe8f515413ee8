import Tensors
import Testing

extension KernelTests {
    @Suite("Mixtures of experts") struct ExpertTests {
        struct Case: Sendable, CustomTestStringConvertible {
            var rows: Int
            var width = 20
            var inner = 12
            var experts: Int
            var active: Int
            var isNormalised = true
            var activation = Activation.silu
            var testDescription: String {
                "\(rows) rows of \(width), \(active) of \(experts) experts of \(inner), "
                    + "\(isNormalised ? "normalised" : "not"), \(activation)"
            }

            static let all = [
                Case(rows: 1, experts: 1, active: 1), Case(rows: 7, experts: 4, active: 2),
                Case(rows: 40, experts: 8, active: 2, isNormalised: false),
                Case(rows: 9, width: 64, inner: 96, experts: 40, active: 8, activation: .geluTanh),
                Case(rows: 3, width: 33, inner: 17, experts: 3, active: 3, isNormalised: false, activation: .gelu),
            ]
        }

        /// x, router logits far enough apart that no small step changes what is chosen, and weights.
        private func inputs(_ test: Case, _ dtype: DType = .float32) throws -> (x: Tensor, router: Tensor, Experts) {
            var random = Random(91)
            let x = try random.tensor([test.rows, test.width])
            let router = (0..<test.rows * test.experts).map { place in
                Float((place / test.experts * 7 + place % test.experts * 5) % test.experts) * 0.4 + random.float()
                    * 0.05
            }
            func weight(_ outputs: Int, _ inputs: Int) throws -> Tensor {
                let weight = try random.tensor([outputs, inputs], scale: 0.5)
                return dtype.isQuantised ? try weight.quantised(to: dtype).tensor : try weight.converted(to: dtype)
            }
            let all = try (0..<test.experts).map { _ in
                Experts.Expert(
                    gate: try weight(test.inner, test.width), up: try weight(test.inner, test.width),
                    down: try weight(test.width, test.inner))
            }
            return (
                x, try Tensor(router, shape: [test.rows, test.experts]),
                Experts(all, active: test.active, isNormalised: test.isNormalised, activation: test.activation)
            )
        }

        /// The definition in float64, an expert and a row at a time.
        private func oracle(_ x: Tensor, _ router: Tensor, _ experts: Experts) throws -> [Double] {
            let (width, count) = (x.shape[1], experts.all.count)
            let (a, logits) = try (doubles(x), doubles(router))
            var out = [Double](repeating: 0, count: a.count)
            for row in 0..<x.shape[0] {
                let own = Array(logits[row * count..<(row + 1) * count])
                let shares = Oracle.softmax(own)
                let chosen = (0..<count).sorted { own[$0] > own[$1] }.prefix(experts.active)
                let sum = experts.isNormalised ? chosen.reduce(0) { $0 + shares[$1] } : 1
                let input = Array(a[row * width..<(row + 1) * width])
                for place in chosen {
                    let expert = experts.all[place]
                    func product(_ weight: Tensor, _ x: [Double]) throws -> [Double] {
                        let (outputs, inputs) = (weight.shape[0], weight.shape[1])
                        let turned = GradientOracle.transposed(try doubles(weight), rows: outputs, columns: inputs)
                        return GradientOracle.product(x, turned, rows: 1, depth: inputs, columns: outputs)
                    }
                    let inner = GradientOracle.gated(
                        experts.activation, gate: try product(expert.gate, input), up: try product(expert.up, input))
                    for (i, value) in try product(expert.down, inner).enumerated() {
                        out[row * width + i] += shares[place] / sum * value
                    }
                }
            }
            return out
        }

        @Test(arguments: Case.all) func isItsDefinition(_ test: Case) throws {
            let (x, router, experts) = try inputs(test)
            let expected = try oracle(x, router, experts)
            try withEveryKernel { choice in
                let found = try x.experts(experts, router: router)
                #expect(found.shape == x.shape)
                try expectClose(doubles(found), expected, 1e-5, "\(test) \(choice)")
            }
        }

        @Test("gradients of inputs, routers and weights are differences", arguments: [true, false])
        func gradients(isNormalised: Bool) throws {
            let test = Case(rows: 5, width: 4, inner: 3, experts: 3, active: 2, isNormalised: isNormalised)
            let (x, router, experts) = try inputs(test)
            try TapeGradients.check("experts", [x, router] + experts.all.flatMap { [$0.gate, $0.up, $0.down] }) { all in
                let weights = Array(all.dropFirst(2))
                let own = stride(from: 0, to: weights.count, by: 3).map {
                    Experts.Expert(gate: weights[$0], up: weights[$0 + 1], down: weights[$0 + 2])
                }
                return [
                    try all[0].experts(
                        Experts(own, active: 2, isNormalised: isNormalised, activation: .silu), router: all[1])
                ]
            }
        }

        @Test("an expert that no row takes has a gradient of zeros")
        func unused() throws {
            let (x, _, experts) = try inputs(Case(rows: 2, experts: 3, active: 1))
            let router = try Tensor([Float(9), 0, 1, 8, 1, 0], shape: [2, 3])
            let tape = GradientTape()
            var watched = experts
            watched.all[2].gate = tape.watch(experts.all[2].gate)
            let result = try tape.watch(x).experts(watched, router: router)
            _ = try result.relativeSquaredError(to: x)
            try tape.playBack()
            #expect(try watched.all[2].gate.gradient?.array().allSatisfy { $0 == 0 } == true)
        }

        @Test("a step is the whole", arguments: Case.all, [DType.float32, .bfloat16, .q8])
        func steps(_ test: Case, _ dtype: DType) throws {
            guard !dtype.isQuantised || (test.width % 32 == 0 && test.inner % 32 == 0) else { return }
            let (_, _, experts) = try inputs(test, dtype)
            var random = Random(92)
            let table = try random.tensor([5, test.width]),
                routerWeight = try random.tensor([test.experts, test.width])
            let ids: [Int32] = [4, 0, 2]
            let norm = Normalisation(.rms, weight: try random.tensor([test.width]), epsilon: 1e-5)
            let residual = try Tensor.embedding(ids, table: table)
            try withEveryKernel { choice in
                let x = try residual.normalised(norm)
                let expected = try residual.adding(x.experts(experts, router: x.linear(routerWeight)))
                let step = try CapturedStep(capacity: 4), tokens = try step.input([4], .int32)
                let residual = try Tensor.embedding(tokens, table: table), input = try residual.normalised(norm)
                let sum = try residual.adding(input.experts(experts, router: input.linear(routerWeight)))
                for (row, id) in ids.enumerated() { try step.update(tokens, row: row) { $0[0] = id } }
                try step.run(rows: 3)
                let found = try (0..<3).flatMap { row in try step.result(sum).withRow(row) { $0.map(Double.init) } }
                try expectClose(found, doubles(expected), 3e-5, "\(test) \(dtype) \(choice)")
            }
        }

        @Test func refusals() throws {
            let (x, router, experts) = try inputs(Case(rows: 2, experts: 3, active: 2))
            func refused(_ experts: Experts, _ router: Tensor) {
                #expect(throws: TensorError.self) { try x.experts(experts, router: router) }
            }
            for active in [0, 4] {
                var other = experts
                other.active = active
                refused(other, router)
            }
            var other = experts
            other.all[1].down = other.all[1].up
            refused(other, router)
            refused(experts, x)
        }
    }
}
