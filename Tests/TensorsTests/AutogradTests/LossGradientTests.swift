import Tensors
import Testing

extension KernelTests {
    @Suite("Losses on a tape against differences of their float64 definitions")
    struct LossGradientTests {
        private let targets: [Int32] = [3, -1, 0, 6, 3, 1]

        private func logits(_ hidden: Tensor, _ head: Tensor) throws -> [Double] {
            let (outputs, inputs) = (head.shape[0], head.shape[1])
            return GradientOracle.product(
                try doubles(hidden), GradientOracle.transposed(try doubles(head), rows: outputs, columns: inputs),
                rows: hidden.count / inputs, depth: inputs, columns: outputs)
        }

        private func expectGradient(
            _ found: Tensor?, _ point: Tensor, _ what: String, _ loss: (Tensor) throws -> Double
        ) throws {
            let expected = try TapeGradients.differences(point, loss)
            expectCloseInScale(try found.map(doubles) ?? [], expected, 2e-5, what)
        }

        @Test func crossEntropy() throws {
            var random = Random(21)
            let hidden = try random.tensor([2, 3, 5]), head = try random.tensor([7, 5])
            let tape = GradientTape()
            let (x, weight) = (tape.watch(hidden), tape.watch(head))
            let scale: Float = 0.25
            let losses = try x.crossEntropy(head: weight, targets: targets, scale: scale)
            let naive = GradientOracle.crossEntropy(try logits(hidden, head), targets: targets).losses
            expectClose(losses.map(Double.init), naive, 1e-5, "losses")
            try tape.playBack()
            func loss(_ hidden: Tensor, _ head: Tensor) throws -> Double {
                Double(scale)
                    * GradientOracle.crossEntropy(try logits(hidden, head), targets: targets).losses.reduce(0, +)
            }
            try expectGradient(x.gradient, hidden, "hidden") { try loss($0, head) }
            try expectGradient(weight.gradient, head, "head") { try loss(hidden, $0) }
        }

        @Test func divergence() throws {
            var random = Random(22)
            let hidden = try random.tensor([6, 5]), head = try random.tensor([7, 5])
            let teacher = try random.tensor([6, 3], scale: 2), teacherHead = try random.tensor([7, 3])
            let tape = GradientTape()
            let (x, weight, other) = (tape.watch(hidden), tape.watch(head), tape.watch(teacher))
            let losses = try x.klDivergence(head: weight, teacher: other, teacherHead: teacherHead, scale: 0.5)
            let wanted = try logits(teacher, teacherHead)
            func divergences(_ hidden: Tensor, _ head: Tensor) throws -> [Double] {
                GradientOracle.klDivergence(try logits(hidden, head), teacher: wanted, outputs: 7).losses
            }
            expectClose(try doubles(losses), try divergences(hidden, head), 1e-5, "losses")
            try tape.playBack()
            #expect(other.gradient == nil, "the teacher is not differentiated")
            try expectGradient(x.gradient, hidden, "hidden") { 0.5 * (try divergences($0, head)).reduce(0, +) }
            try expectGradient(weight.gradient, head, "head") { 0.5 * (try divergences(hidden, $0)).reduce(0, +) }
        }

        @Test("rows that weigh more or less, or nothing")
        func weights() throws {
            var random = Random(26)
            let hidden = try random.tensor([6, 5]), head = try random.tensor([7, 5])
            let teacher = try random.tensor([6, 3], scale: 2), teacherHead = try random.tensor([7, 3])
            let weights: [Double] = [1, 4, 0.25, 1, 0, 16]
            let (rows, factor) = (
                try Tensor(weights.map(Float.init), shape: [6]), try Tensor([Float(0.125)], shape: [])
            )
            let wanted = try logits(teacher, teacherHead)
            func losses(_ hidden: Tensor, _ head: Tensor) throws -> (entropy: [Double], divergence: [Double]) {
                let logits = try logits(hidden, head)
                let pair = (
                    GradientOracle.crossEntropy(logits, targets: targets).losses,
                    GradientOracle.klDivergence(logits, teacher: wanted, outputs: 7).losses
                )
                return (zip(weights, pair.0).map(*), zip(weights, pair.1).map(*))
            }
            func sum(_ hidden: Tensor, _ head: Tensor) throws -> Double {
                let losses = try losses(hidden, head)
                return 0.125 * (0.25 * losses.entropy.reduce(0, +) + 0.5 * losses.divergence.reduce(0, +))
            }
            let tape = GradientTape()
            let (x, weight) = (tape.watch(hidden), tape.watch(head))
            let ids = try Tensor(targets, shape: [6])
            let entropy = try x.crossEntropy(head: weight, targets: ids, scale: 0.25, factor: factor, weights: rows)
            let divergence = try x.klDivergence(
                head: weight, teacher: teacher, teacherHead: teacherHead, scale: 0.5, factor: factor, weights: rows)
            let expected = try losses(hidden, head)
            expectClose(try doubles(entropy), expected.entropy, 1e-5, "entropy")
            expectClose(try doubles(divergence), expected.divergence, 1e-5, "divergence")
            try tape.playBack()
            try expectGradient(x.gradient, hidden, "hidden") { try sum($0, head) }
            try expectGradient(weight.gradient, head, "head") { try sum(hidden, $0) }
            #expect(throws: TensorError.self) {
                try x.crossEntropy(head: weight, targets: ids, scale: 1, weights: factor)
            }
        }

        @Test("capped logits")
        func caps() throws {
            var random = Random(27)
            let hidden = try random.tensor([6, 5], scale: 2), head = try random.tensor([7, 5])
            let teacher = try random.tensor([6, 3], scale: 2), teacherHead = try random.tensor([7, 3])
            let wanted = try logits(teacher, teacherHead).map { Oracle.capped($0, 2) }
            func losses(_ hidden: Tensor, _ head: Tensor) throws -> (entropy: [Double], divergence: [Double]) {
                let logits = try logits(hidden, head).map { Oracle.capped($0, 1.5) }
                return (
                    GradientOracle.crossEntropy(logits, targets: targets).losses,
                    GradientOracle.klDivergence(logits, teacher: wanted, outputs: 7).losses
                )
            }
            let tape = GradientTape()
            let (x, weight) = (tape.watch(hidden), tape.watch(head))
            let expected = try losses(hidden, head)
            let entropy = try x.crossEntropy(head: weight, targets: targets, scale: 0.25, cap: 1.5)
            let divergence = try x.klDivergence(
                head: weight, teacher: teacher, teacherHead: teacherHead, scale: 0.5, cap: 1.5, teacherCap: 2)
            expectClose(entropy.map(Double.init), expected.entropy, 1e-5, "entropy")
            expectClose(try doubles(divergence), expected.divergence, 1e-5, "divergence")
            try tape.playBack()
            func sum(_ hidden: Tensor, _ head: Tensor) throws -> Double {
                let losses = try losses(hidden, head)
                return 0.25 * losses.entropy.reduce(0, +) + 0.5 * losses.divergence.reduce(0, +)
            }
            try expectGradient(x.gradient, hidden, "hidden") { try sum($0, head) }
            try expectGradient(weight.gradient, head, "head") { try sum(hidden, $0) }
            #expect(throws: TensorError.self) { try x.crossEntropy(head: head, targets: targets, scale: 1, cap: 0) }
        }

        @Test("two losses of one tensor add up, with a tied head")
        func sums() throws {
            var random = Random(23)
            let table = try random.tensor([7, 5]), teacher = try random.tensor([6, 5])
            let ids: [Int32] = [0, 1, 2, 3, 4, 0]
            let tape = GradientTape()
            let watched = tape.watch(table)
            let x = try Tensor.embedding(ids, table: watched)
            _ = try x.crossEntropy(head: watched, targets: targets, scale: 1)
            _ = try x.klDivergence(head: watched, teacher: teacher, teacherHead: table.detached, scale: 1)
            try tape.playBack()
            let wanted = try logits(teacher, table)
            try expectGradient(watched.gradient, table, "tied table") { table in
                let logits = try logits(Tensor.embedding(ids, table: table), table)
                return GradientOracle.crossEntropy(logits, targets: targets).losses.reduce(0, +)
                    + GradientOracle.klDivergence(logits, teacher: wanted, outputs: 7).losses.reduce(0, +)
            }
        }

        @Test func relativeSquaredError() throws {
            var random = Random(24)
            let x = try random.tensor([3, 4]), target = try random.tensor([3, 4])
            let tape = GradientTape()
            let watched = tape.watch(x)
            let naive = GradientOracle.meanSquaredError(try doubles(x), target: try doubles(target))
            let loss = try watched.relativeSquaredError(to: target).scalar()
            #expect(abs(loss - naive.loss) < 1e-6 * naive.loss)
            expectCloseInScale(try watched.gradient.map(doubles) ?? [], naive.gradient, 1e-6, "gradient")
            #expect(try watched.relativeSquaredError(to: x).scalar() == 0)
            let half = tape.watch(x)
            let halved = try half.relativeSquaredError(to: target, factor: Tensor([0.5] as [Float], shape: [])).scalar()
            #expect(abs(halved - 0.5 * naive.loss) < 1e-6 * naive.loss)
            expectCloseInScale(
                try half.gradient.map(doubles) ?? [], naive.gradient.map { 0.5 * $0 }, 1e-6, "half of the gradient")
            #expect(abs(try Tensor.zeros([3, 4]).relativeSquaredError(to: target).scalar() - 1) < 1e-6)
        }

        @Test func refusals() throws {
            var random = Random(25)
            let x = try random.tensor([2, 5]), head = try random.tensor([7, 5])
            #expect(throws: TensorError.self) { try x.crossEntropy(head: head, targets: [1], scale: 1) }
            #expect(throws: TensorError.self) { try x.crossEntropy(head: head, targets: [1, 7], scale: 1) }
            #expect(throws: TensorError.self) { try x.crossEntropy(head: x, targets: [1, 2], scale: 1) }
            #expect(throws: TensorError.self) {
                try x.klDivergence(head: head, teacher: x, teacherHead: x, scale: 1)
            }
            #expect(throws: TensorError.self) { try x.relativeSquaredError(to: head) }
        }
    }
}
