import Tensors
import Testing

extension CUDATests {
    @Suite("Recurrences on a GPU and their gradients") struct RecurrenceTests {
        /// Sizes of a case: K, V and the query heads of each group are among those that the emulator has kernels for.
        struct Sizes: Sendable, CustomTestStringConvertible {
            var batch = 1
            var tokens: Int
            var heads = 1
            var group = 2
            var keyDim = 16
            var valueDim = 16
            var documents: [Int]?
            var testDescription: String {
                "B \(batch) T \(tokens) N \(heads) G \(group) K \(keyDim) V \(valueDim) \(documents ?? [])"
            }

            /// q, k, v, log decays, betas and a state.
            func operands(channels: Bool, decays: Float = 1) -> [Operand] {
                [
                    .activation(batch, tokens, heads * group, keyDim),
                    .activation(batch, tokens, heads, keyDim, scale: (2 / Float(keyDim)).squareRoot()),
                    .activation(batch, tokens, heads, valueDim),
                    .gates(batch, tokens, heads, channels ? keyDim : 1, scale: decays),
                    .gates(batch, tokens, heads, scale: -1), .parameter(batch, heads, keyDim, valueDim),
                ]
            }

            /// Whole and cut chunks of 64 tokens, documents that begin and end within them and with them.
            static let all = [
                Sizes(tokens: 5), Sizes(batch: 2, tokens: 37, heads: 2), Sizes(tokens: 192),
                Sizes(tokens: 150, documents: [0, 3, 4, 16, 39, 64, 100, 127, 128]),
                Sizes(batch: 2, tokens: 65, group: 3, keyDim: 32, valueDim: 48),
                Sizes(tokens: 70, group: 1, keyDim: 64, valueDim: 64),
                Sizes(tokens: 66, group: 1, keyDim: 128, valueDim: 128),
            ]
        }

        @Test("the gated linear recurrence", arguments: Sizes.all, [false, true])
        func gatedLinear(_ sizes: Sizes, channels: Bool) throws {
            let documents = sizes.documents.map(Documents.init(_:))
            var operands = sizes.operands(channels: channels)
            try expectAgreement("\(sizes)", Array(operands[..<4]), tolerance: 0.02) {
                [
                    try Tensor.gatedLinear(
                        q: $0[0], k: $0[1], v: $0[2], logDecays: $0[3], scale: 0.5, documents: documents)
                ]
            }
            operands.remove(at: 4)
            try expectAgreement("\(sizes), states", operands, tolerance: 0.02) {
                var state = $0[4]
                let output = try Tensor.gatedLinear(
                    q: $0[0], k: $0[1], v: $0[2], logDecays: $0[3], scale: 0.5, state: &state, documents: documents)
                return [output, state]
            }
        }

        @Test("the gated delta rule", arguments: Sizes.all, [false, true])
        func gatedDelta(_ sizes: Sizes, channels: Bool) throws {
            let documents = sizes.documents.map(Documents.init(_:))
            let operands = sizes.operands(channels: channels)
            try expectAgreement("\(sizes)", Array(operands[..<5]), tolerance: 0.02) {
                [
                    try Tensor.gatedDelta(
                        q: $0[0], k: $0[1], v: $0[2], logDecays: $0[3], betas: $0[4], scale: 0.5,
                        documents: documents)
                ]
            }
            try expectAgreement("\(sizes), states", operands, tolerance: 0.02) {
                var state = $0[5]
                let output = try Tensor.gatedDelta(
                    q: $0[0], k: $0[1], v: $0[2], logDecays: $0[3], betas: $0[4], scale: 0.5, state: &state,
                    documents: documents)
                return [output, state]
            }
        }

        @Test(
            "the generalised delta rule", arguments: Sizes.all, [1e-4, 1, 40] as [Float])
        func generalDelta(_ sizes: Sizes, decays: Float) throws {
            let documents = sizes.documents.map(Documents.init(_:))
            let factor = (1 / Float(sizes.keyDim)).squareRoot()
            var operands = Array(sizes.operands(channels: true, decays: decays)[..<4])
            for _ in 0..<2 {
                operands.append(.activation(sizes.batch, sizes.tokens, sizes.heads, sizes.keyDim, scale: factor))
            }
            try expectAgreement("\(sizes)", operands, tolerance: 0.02) {
                [
                    try Tensor.generalDelta(
                        q: $0[0], k: $0[1], v: $0[2], logDecays: $0[3],
                        rankOne: .init(reads: $0[4], writes: $0[5]), scale: 0.5, documents: documents)
                ]
            }
            operands.append(.parameter(sizes.batch, sizes.heads, sizes.keyDim, sizes.valueDim))
            try expectAgreement("\(sizes), states", operands, tolerance: 0.02) {
                var state = $0[6]
                let output = try Tensor.generalDelta(
                    q: $0[0], k: $0[1], v: $0[2], logDecays: $0[3],
                    rankOne: .init(reads: $0[4], writes: $0[5]), scale: 0.5, state: &state, documents: documents)
                return [output, state]
            }
        }

        /// Near 0 the gradients of log decays are small differences of large sums of products of bfloat16.
        @Test("decays near 0 and near 1", arguments: [1e-4, 40] as [Float], [false, true])
        func decays(_ size: Float, channels: Bool) throws {
            let operands = Sizes(tokens: 137, heads: 2).operands(channels: channels, decays: size)
            try expectAgreement("decays to \(size)", operands, tolerance: size > 1 ? 0.08 : 0.02) {
                var state = $0[5]
                let output = try Tensor.gatedDelta(
                    q: $0[0], k: $0[1], v: $0[2], logDecays: $0[3], betas: $0[4], scale: 0.5, state: &state)
                return [output, state]
            }
        }

        /// Chunks multiply bfloat16, steps float32.
        @Test("steps are the whole")
        func steps() throws {
            let sizes = Sizes(batch: 2, tokens: 9, heads: 2)
            var random = Random(5)
            let values = try sizes.operands(channels: true).map { operand in
                let values = try operand.values(&random)
                return try (operand.kind == .activation ? values.converted(to: .bfloat16) : values)
            }
            func run(_ range: Range<Int>, _ state: inout Tensor) throws -> [Tensor] {
                let x = try values[..<5].map { tensor in
                    // Rows of the two sequences, of these tokens.
                    let width = tensor.shape[2...].reduce(1, *), rows = try tensor.reshaped([18, width])
                    let array = try (0..<2).flatMap { batch in
                        try rows.rows(batch * 9 + range.lowerBound..<batch * 9 + range.upperBound)
                            .converted(to: .float32).array(Float.self)
                    }
                    return try Tensor(array, shape: [2, range.count] + tensor.shape[2...]).converted(to: tensor.dtype)
                        .to(.cuda)
                }
                let output = try Tensor.gatedDelta(
                    q: x[0], k: x[1], v: x[2], logDecays: x[3], betas: x[4], scale: 0.5, state: &state)
                return try (0..<range.count).map { token in
                    let all = try output.to(.cpu).converted(to: .float32).array(Float.self)
                    let width = all.count / 2 / range.count
                    let taken = (0..<2).flatMap { batch in
                        let start = (batch * range.count + token) * width
                        return all[start..<start + width]
                    }
                    return try Tensor(taken, shape: [2 * width])
                }
            }
            var whole = try values[5].to(.cuda), state = whole
            let expected = try run(0..<9, &whole)
            for token in 0..<9 {
                try expectClose(run(token..<token + 1, &state)[0], expected[token], 0.01, "token \(token)")
            }
            try expectClose(state, whole, 0.01, "state")
        }

        @Test("widths that no kernel takes are refused")
        func refusals() throws {
            let decays = try Tensor.zeros([1, 2, 1, 1], on: .cuda)
            for width in [264, 12] {
                let heads = try Tensor.zeros([1, 2, 1, width], .bfloat16, on: .cuda)
                #expect(throws: TensorError.self) {
                    try Tensor.gatedLinear(q: heads, k: heads, v: heads, logDecays: decays, scale: 1)
                }
            }
        }
    }
}
