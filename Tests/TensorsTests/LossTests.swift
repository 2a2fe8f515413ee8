import CKernels
import Tensors
import Testing

extension KernelTests {
    @Suite struct LossTests {
        private let backend = CPUBackend.shared
        static let extents = [(1, 1, 1), (9, 17, 3), (300, 33, 517), (33, 63, 1027)]

        /// What rounding may move a product of a gradient of logits by: of the sums, and of the gradient itself where it is
        /// multiplied in bfloat16.
        private func tolerance(_ a: [Double], _ b: [Double], rows: Int, depth: Int, columns: Int, half: Bool) -> Double
        {
            let sizes = GradientOracle.product(a.map(abs), b.map(abs), rows: rows, depth: depth, columns: columns)
            let rounded = half && moult_onednn_has_bfloat16()
            return (sizes.max() ?? 0) * (rounded ? 0x1p-9 : 0) + 16 * LinearTests.tolerance(inputs: depth)
        }

        private func logits(_ hidden: Tensor, _ head: Tensor) throws -> [Double] {
            try LinearTests.naive(
                LinearBackwardTests.multiplied(hidden, half: head.dtype == .bfloat16), head, nil)
        }

        /// Compares the results of a loss with the losses per row and the gradient of its logits.
        private func expect(
            _ found: (losses: Tensor, hiddenGradient: Tensor), headGradient: Tensor?, headBefore: Tensor,
            expected: (losses: [Double], gradient: [Double]), scale: Double, hidden: Tensor, head: Tensor,
            _ what: String
        ) throws {
            let (rows, inputs, outputs) = (hidden.shape[0], head.shape[1], head.shape[0])
            expectClose(
                try doubles(found.losses), expected.losses, 16 * LinearTests.tolerance(inputs: inputs),
                "losses \(what)")
            let gradient = expected.gradient.map { $0 * scale }
            let half = head.dtype == .bfloat16
            let weights = try doubles(head)
            expectClose(
                try doubles(found.hiddenGradient),
                GradientOracle.product(gradient, weights, rows: rows, depth: outputs, columns: inputs),
                tolerance(gradient, weights, rows: rows, depth: outputs, columns: inputs, half: half), "hidden \(what)")
            guard let headGradient else { return }
            let turned = GradientOracle.transposed(gradient, rows: rows, columns: outputs)
            let multiplied = try doubles(LinearBackwardTests.multiplied(hidden, half: half))
            let sum = GradientOracle.product(turned, multiplied, rows: outputs, depth: rows, columns: inputs)
            expectClose(
                try doubles(headGradient), zip(sum, try doubles(headBefore)).map(+),
                tolerance(turned, multiplied, rows: outputs, depth: rows, columns: inputs, half: half), "head \(what)")
        }

        @Test(arguments: [DType.float32, .bfloat16, .float16])
        func crossEntropy(_ dtype: DType) throws {
            var random = Random(71)
            for (rows, inputs, outputs) in Self.extents {
                let hidden = try random.tensor([rows, inputs], scale: 2),
                    head = try random.tensor([outputs, inputs], dtype)
                let before = try random.tensor([outputs, inputs], scale: 0.5)
                let targets = (0..<rows).map { Int32($0 % 4 == 2 ? -1 : $0 * 7919 % outputs) }
                try withEveryKernel { choice in
                    let expected = GradientOracle.crossEntropy(try logits(hidden, head), targets: targets)
                    for scale in [Float(1), 0.125] {
                        var headGradient = scale == 1 ? before : nil
                        let found = try backend.crossEntropy(
                            hidden, head: head, cap: nil, targets: Tensor(targets, shape: [rows]),
                            weighting: .init(scale: scale),
                            headGradient: &headGradient)
                        try expect(
                            found, headGradient: headGradient, headBefore: before, expected: expected,
                            scale: Double(scale), hidden: hidden, head: head, "\(rows)×\(outputs) \(choice)")
                        for (row, target) in targets.enumerated() where target < 0 {
                            #expect(try found.losses.array(Float.self)[row] == 0)
                            #expect(try found.hiddenGradient.rows(row..<row + 1).array().allSatisfy { $0 == 0 })
                        }
                    }
                }
            }
        }

        @Test(arguments: [DType.float32, .bfloat16])
        func klDivergence(_ dtype: DType) throws {
            var random = Random(72)
            for (rows, inputs, outputs) in Self.extents {
                let hidden = try random.tensor([rows, inputs]), head = try random.tensor([outputs, inputs], dtype)
                let before = try random.tensor([outputs, inputs], scale: 0.5)
                let teacherHidden = try random.tensor([rows, inputs + 3])
                let teacherHead = try random.tensor([outputs, inputs + 3], dtype)
                try withEveryKernel { choice in
                    let expected = GradientOracle.klDivergence(
                        try logits(hidden, head), teacher: try logits(teacherHidden, teacherHead), outputs: outputs)
                    var headGradient: Tensor? = before
                    let found = try backend.klDivergence(
                        hidden, head: head, cap: nil, teacherHidden: teacherHidden, teacherHead: teacherHead,
                        teacherCap: nil,
                        weighting: .init(scale: 0.5),
                        headGradient: &headGradient)
                    try expect(
                        found, headGradient: headGradient, headBefore: before, expected: expected, scale: 0.5,
                        hidden: hidden, head: head, "\(rows)×\(outputs) \(choice)")
                }
            }
        }

        @Test("capped logits: losses, gradients and likelihoods", arguments: [DType.float32, .bfloat16])
        func capped(_ dtype: DType) throws {
            var random = Random(75)
            for (rows, inputs, outputs) in Self.extents + [(3, 16, 2500)] {
                let hidden = try random.tensor([rows, inputs]), head = try random.tensor([outputs, inputs], dtype)
                let before = try random.tensor([outputs, inputs], scale: 0.5)
                let teacher = try random.tensor([rows, inputs + 3])
                let teacherHead = try random.tensor([outputs, inputs + 3], dtype)
                let targets = (0..<rows).map { Int32($0 % 4 == 2 ? -1 : $0 * 7919 % outputs) }
                try withEveryKernel { choice in
                    let what = "\(rows)×\(outputs) \(choice)"
                    let raw = try logits(hidden, head), other = try logits(teacher, teacherHead)
                    let caps: (own: Float, teacher: Float) = (1.5, 2.5)
                    let values = raw.map { Oracle.capped($0, caps.own) }
                    let wanted = other.map { Oracle.capped($0, caps.teacher) }
                    func through(_ gradient: [Double]) -> [Double] {
                        zip(gradient, raw).map { $0 * Oracle.capSlope($1, caps.own) }
                    }
                    var headGradient: Tensor? = before
                    let entropy = GradientOracle.crossEntropy(values, targets: targets)
                    try expect(
                        backend.crossEntropy(
                            hidden, head: head, cap: caps.own, targets: Tensor(targets, shape: [rows]),
                            weighting: .init(scale: 0.5), headGradient: &headGradient),
                        headGradient: headGradient, headBefore: before,
                        expected: (entropy.losses, through(entropy.gradient)), scale: 0.5, hidden: hidden, head: head,
                        "entropy \(what)")
                    for teacherCap in [caps.teacher, nil] {
                        headGradient = before
                        let divergence = GradientOracle.klDivergence(
                            values, teacher: teacherCap == nil ? other : wanted, outputs: outputs)
                        try expect(
                            backend.klDivergence(
                                hidden, head: head, cap: caps.own, teacherHidden: teacher, teacherHead: teacherHead,
                                teacherCap: teacherCap, weighting: .init(scale: 0.5), headGradient: &headGradient),
                            headGradient: headGradient, headBefore: before,
                            expected: (divergence.losses, through(divergence.gradient)), scale: 0.5, hidden: hidden,
                            head: head, "divergence \(what)")
                    }
                    let tolerance = 16 * LinearTests.tolerance(inputs: inputs)
                    let likelihoods = try hidden.negativeLogLikelihood(
                        head: head, targets: targets.map { max($0, 0) }, cap: caps.own)
                    for (row, target) in targets.enumerated() where target >= 0 {
                        expectClose([Double(likelihoods[row])], [entropy.losses[row]], tolerance, "likelihood \(what)")
                    }
                    // Products of few rows round no input.
                    let products = try doubles(hidden.linear(head)).map { Oracle.capped($0, caps.own) }
                    expectClose(
                        try doubles(hidden.logits(head: head, cap: caps.own)), products, 0x1p-21, "logits \(what)")
                }
            }
        }

        @Test func nothingToLearnFromOneself() throws {
            var random = Random(73)
            let hidden = try random.tensor([40, 33], scale: 4), head = try random.tensor([300, 33], .bfloat16)
            try withEveryKernel { choice in
                var none: Tensor?
                let found = try backend.klDivergence(
                    hidden, head: head, cap: nil, teacherHidden: hidden, teacherHead: head, teacherCap: nil,
                    weighting: .init(scale: 1),
                    headGradient: &none)
                #expect(try found.losses.array().allSatisfy { abs($0) < 1e-5 }, "\(choice)")
                #expect(try found.hiddenGradient.array().allSatisfy { $0 == 0 }, "\(choice)")
            }
        }

        @Test func lossesSurviveLargeLogits() throws {
            let hidden = try Tensor([Float(1000), -1000], shape: [2, 1])
            let head = try Tensor([Float(1), 0, -1], shape: [3, 1])
            try withEveryKernel { choice in
                var headGradient: Tensor? = try .zeros([3, 1])
                let found = try backend.crossEntropy(
                    hidden, head: head, cap: nil, targets: Tensor([Int32(0), 0], shape: [2]),
                    weighting: .init(scale: 1),
                    headGradient: &headGradient)
                #expect(try found.losses.array(Float.self) == [0, 2000], "\(choice)")
                #expect(try found.hiddenGradient.array(Float.self) == [0, -2], "\(choice)")
                #expect(try headGradient?.array(Float.self) == [1000, 0, -1000], "\(choice)")
                let divergence = try backend.klDivergence(
                    hidden, head: head, cap: nil, teacherHidden: hidden, teacherHead: head, teacherCap: nil,
                    weighting: .init(scale: 1),
                    headGradient: &headGradient)
                #expect(try divergence.losses.array(Float.self) == [0, 0], "\(choice)")
            }
        }

        @Test func meanSquaredError() throws {
            var random = Random(74)
            for shape in [[1], [7, 65], [300, 576]] {
                let x = try random.tensor(shape), target = try random.tensor(shape, scale: 3)
                let expected = GradientOracle.meanSquaredError(try doubles(x), target: try doubles(target))
                try withEveryKernel { choice in
                    let found = try backend.meanSquaredError(x, target: target)
                    #expect(try abs(found.loss.scalar() - expected.loss) <= 1e-12 * expected.loss, "\(shape) \(choice)")
                    let scale = Double(x.count)
                    expectClose(
                        try doubles(found.gradient).map { $0 * scale }, expected.gradient.map { $0 * scale }, 0x1p-20,
                        "\(shape) \(choice)")
                }
            }
        }
    }
}
