import CKernels
import Foundation
import Tensors
import Testing

extension KernelTests {
    /// Every form of GSA against the recurrence in float64, and that against flash-linear-attention.
    @Suite struct GatedSlotAttentionTests {
        static let forms = [
            ("automatic", moult_gated_slot_automatic), ("recurrent", moult_gated_slot_recurrent),
            ("blocked", moult_gated_slot_blocked), ("chunked", moult_gated_slot_chunked),
        ]

        /// Log forget gates of a test.
        enum Gates: Sendable {
            /// -exp(uniform) between two sizes, with some exactly 0 and some -80.
            case between(Float, Float)
            case constant(Float)
        }

        struct Case: Sendable, CustomStringConvertible {
            var batch = 1
            var tokens: Int
            var heads = 6
            var keyHeads = 2
            var keyDim = 16
            var valueDim = 16
            var slots = 16
            var gates = Gates.between(1e-3, 1)
            var initial: Float = 1
            var documents: [Int]?

            var description: String {
                "B \(batch) T \(tokens) H \(heads) N \(keyHeads) K \(keyDim) V \(valueDim) M \(slots) gates \(gates) "
                    + "initial \(initial) documents \(documents ?? [])"
            }

            var inputs: Inputs {
                get throws {
                    var random = Random(29)
                    let row = [batch, tokens, keyHeads]
                    let count = batch * tokens * keyHeads * slots
                    let gates: [Float] =
                        switch gates {
                        case .constant(let value): Array(repeating: value, count: count)
                        case .between(let least, let most):
                            (0..<count).map { index in
                                let position = (random.float() + 1) / 2
                                let gate = -least * pow(most / least, position)
                                return index % 101 == 50 ? 0 : index % 103 == 60 ? -80 : gate
                            }
                        }
                    return try Inputs(
                        q: random.tensor([batch, tokens, heads, keyDim], scale: 2),
                        k: random.tensor(row + [keyDim], scale: 2), v: random.tensor(row + [valueDim]),
                        logGates: Tensor(gates, shape: row + [slots]), scale: 1 / Float(keyDim).squareRoot(),
                        state: GatedSlotState(
                            keys: random.tensor([batch, keyHeads, slots, keyDim], scale: initial),
                            values: random.tensor([batch, keyHeads, slots, valueDim], scale: initial)),
                        documents: documents)
                }
            }
        }

        struct Inputs {
            var q, k, v, logGates: Tensor
            var scale: Float
            var state: GatedSlotState
            var documents: [Int]?

            func oracle() throws -> (out: [Double], keys: [Double], values: [Double]) {
                try Oracle.gatedSlotAttention(
                    q: q, k: k, v: v, logGates: logGates, scale: scale, state: state, documents: documents)
            }

            func run(_ form: moult_gated_slot_form) throws -> (out: Tensor, state: GatedSlotState) {
                var state = state
                let out = try CPUBackend.shared.gatedSlotAttention(
                    q: q, k: k, v: v, logGates: logGates, scale: scale, slotKeys: &state.keys,
                    slotValues: &state.values, documents: documents.map(Documents.init(_:)), form: form)
                return (out, state)
            }
        }

        static let cases = [
            // A single token, fewer than a block, a block, a chunk, and one more or less than these.
            Case(tokens: 1), Case(tokens: 2), Case(tokens: 7), Case(tokens: 15), Case(tokens: 16), Case(tokens: 17),
            Case(tokens: 63), Case(tokens: 64), Case(tokens: 65), Case(tokens: 130),
            Case(batch: 2, tokens: 70, initial: 0),
            // Shapes: odd, K ≠ V, all sizes of a group, slots that no vector divides.
            Case(batch: 2, tokens: 75, heads: 2, keyHeads: 2, keyDim: 5, valueDim: 7, slots: 1),
            Case(tokens: 75, heads: 2, keyHeads: 1, keyDim: 7, valueDim: 20, slots: 5),
            Case(tokens: 75, heads: 8, keyHeads: 2, keyDim: 33, valueDim: 9, slots: 24),
            Case(tokens: 75, heads: 5, keyHeads: 1, keyDim: 20, valueDim: 65, slots: 48),
            Case(tokens: 75, heads: 7, keyHeads: 1, keyDim: 12, valueDim: 1, slots: 100),
            Case(tokens: 75, heads: 9, keyHeads: 3, keyDim: 64, valueDim: 64, slots: 64),
            Case(tokens: 40, heads: 1, keyHeads: 1, keyDim: 128, valueDim: 256, slots: 17),
            // Gates near one, near zero, and all of it at once; long enough for several segments of chunks.
            Case(tokens: 130, gates: .between(1e-6, 1e-5)), Case(tokens: 130, gates: .between(5, 20)),
            Case(tokens: 130, gates: .between(1e-6, 20)), Case(tokens: 70, gates: .constant(0)),
            Case(tokens: 70, gates: .constant(-80)), Case(tokens: 70, gates: .constant(-1000)),
            Case(tokens: 5000, heads: 2, keyHeads: 1, keyDim: 8, valueDim: 8, slots: 8, gates: .constant(-1e-6)),
            Case(tokens: 5000, heads: 2, keyHeads: 1, keyDim: 8, valueDim: 8, slots: 8, gates: .constant(-20)),
            Case(
                tokens: 5000, heads: 2, keyHeads: 1, keyDim: 8, valueDim: 8, slots: 8, gates: .between(1e-6, 20)),
            // Documents that start inside blocks and chunks, at their edges, and one token long.
            Case(tokens: 140, documents: [0, 3, 4, 5, 16, 63, 64, 128]), Case(tokens: 140, documents: [0]),
            Case(tokens: 140, documents: [0, 139]), Case(tokens: 5, documents: [0, 2, 3]),
        ]

        @Test(arguments: cases) func everyFormIsTheRecurrence(_ test: Case) throws {
            let inputs = try test.inputs
            let expected = try inputs.oracle()
            try withEveryKernel { choice in
                for (name, form) in Self.forms {
                    let (out, state) = try inputs.run(form)
                    let what = "\(name), \(choice)"
                    #expect(out.shape == [test.batch, test.tokens, test.heads, test.valueDim])
                    try expectClose(doubles(out), expected.out, 1e-5, "outputs, \(what)")
                    try expectClose(doubles(state.keys), expected.keys, 1e-5, "slot keys, \(what)")
                    try expectClose(doubles(state.values), expected.values, 1e-5, "slot values, \(what)")
                }
            }
        }

        @Test func segmentsAreTheWhole() throws {
            let inputs = try Case(tokens: 150, heads: 3, keyHeads: 1, keyDim: 12, valueDim: 20, slots: 10).inputs
            let expected = try inputs.oracle()
            func rows(_ tensor: Tensor, _ range: Range<Int>) throws -> Tensor {
                let part = try tensor.reshaped(Array(tensor.shape.dropFirst())).rows(range)
                return try part.reshaped([1] + part.shape)
            }
            try withEveryKernel { choice in
                for splits in [[0, 1, 2, 20, 84, 85, 150], [0, 64, 128, 150], [0, 75, 150], Array(0...150)] {
                    var state = inputs.state
                    var out: [Double] = []
                    for (begin, end) in zip(splits, splits.dropFirst()) {
                        out += try doubles(
                            Tensor.gatedSlotAttention(
                                q: rows(inputs.q, begin..<end), k: rows(inputs.k, begin..<end),
                                v: rows(inputs.v, begin..<end), logGates: rows(inputs.logGates, begin..<end),
                                scale: inputs.scale, state: &state))
                    }
                    expectClose(out, expected.out, 1e-5, "outputs, \(splits), \(choice)")
                    try expectClose(doubles(state.keys), expected.keys, 1e-5, "slot keys, \(splits), \(choice)")
                    try expectClose(doubles(state.values), expected.values, 1e-5, "slot values, \(splits), \(choice)")
                }
            }
        }

        @Test func copiesOfAStateStay() throws {
            let inputs = try Case(tokens: 3).inputs
            let before = try inputs.state.keys.array(Float.self)
            let after = try inputs.run(moult_gated_slot_automatic).state
            #expect(try inputs.state.keys.array(Float.self) == before)
            #expect(try after.keys.array(Float.self) != before)
        }

        @Test func oracleIsFlashLinearAttention() throws {
            for (index, test) in try fixture("gated_slot_attention", of: GatedSlotFixture.self).enumerated() {
                let inputs = try Inputs(
                    q: test.q.tensor, k: test.k.tensor, v: test.v.tensor, logGates: test.logGates.tensor,
                    scale: test.scale, state: GatedSlotState(keys: test.keys.tensor, values: test.values.tensor))
                let oracle = try inputs.oracle()
                let (out, keys, values) = try (
                    doubles(test.out.tensor), doubles(test.finalKeys.tensor), doubles(test.finalValues.tensor)
                )
                expectClose(oracle.out, out, 1e-5, "oracle's outputs, case \(index)")
                expectClose(oracle.keys, keys, 1e-5, "oracle's slot keys, case \(index)")
                expectClose(oracle.values, values, 1e-5, "oracle's slot values, case \(index)")
                try withEveryKernel { choice in
                    for (name, form) in Self.forms {
                        let found = try inputs.run(form)
                        let what = "case \(index), \(name), \(choice)"
                        try expectClose(doubles(found.out), out, 1e-5, "outputs, \(what)")
                        try expectClose(doubles(found.state.keys), keys, 1e-5, "slot keys, \(what)")
                        try expectClose(doubles(found.state.values), values, 1e-5, "slot values, \(what)")
                    }
                }
            }
        }
    }
}
