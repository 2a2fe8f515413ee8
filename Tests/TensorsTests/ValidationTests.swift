import Tensors
import Testing

@Suite struct ValidationTests {
    private func zeros(_ shape: Int..., dtype: DType = .float32) throws -> Tensor { try .zeros(shape, dtype) }

    @Test func linearRefusesMismatches() throws {
        let x = try zeros(2, 3)
        #expect(
            throws: TensorError.shape(operation: "linear", argument: "weight", expected: "[any, 3]", found: [4, 5])
        ) {
            try x.linear(zeros(4, 5))
        }
        #expect(throws: TensorError.shape(operation: "linear", argument: "bias", expected: "[4]", found: [3])) {
            try x.linear(zeros(4, 3), bias: zeros(3))
        }
        #expect(throws: TensorError.self) { try x.linear(zeros(4, 3, dtype: .int32)) }
        #expect(throws: TensorError.self) { try zeros(2, 3, dtype: .bfloat16).linear(zeros(4, 3)) }
        #expect(throws: TensorError.self) { try x.linear([zeros(4, 3)], biases: [nil, nil]) }
        #expect(throws: TensorError.self) { try zeros(2, 0).linear(zeros(4, 0)) }
    }

    @Test func idsOutsideTheTableAreRefused() throws {
        let table = try zeros(5, 2)
        #expect(throws: TensorError.range(operation: "embedding", argument: "ids[1]", expected: "0..<5", found: "5")) {
            try Tensor.embedding([4, 5], table: table)
        }
        #expect(throws: TensorError.self) { try Tensor.embedding([-1], table: table) }
        #expect(throws: TensorError.self) { try zeros(1, 2).negativeLogLikelihood(head: table, targets: [5]) }
        #expect(throws: TensorError.self) { try zeros(1, 2).negativeLogLikelihood(head: table, targets: [1, 1]) }
    }

    @Test func elementwiseRefusesMismatches() throws {
        #expect(throws: TensorError.self) { try zeros(2, 3).adding(zeros(3, 2)) }
        #expect(throws: TensorError.self) { try Tensor.gated(.silu, gate: zeros(2), up: zeros(3)) }
        #expect(throws: TensorError.self) { try zeros(2, 3).rmsNorm(weight: zeros(2), epsilon: 1e-5) }
        #expect(throws: TensorError.self) {
            try zeros(2, 3).layerNorm(weight: zeros(3), bias: zeros(2), epsilon: 1e-5)
        }
        #expect(throws: TensorError.self) {
            try zeros(2, 3).normalised(Normalisation(.rms, weight: zeros(3), bias: zeros(3), epsilon: 1e-5))
        }
        #expect(throws: TensorError.self) { try zeros(3, dtype: .float16).activated(.silu) }
        #expect(throws: TensorError.self) { try zeros(3).logGate(divisor: 0) }
        #expect(throws: TensorError.self) {
            try Tensor.mix(zeros(1, 2, 3, 4), zeros(1, 2, 3, 4), logits: zeros(1, 2, 4))
        }
    }

    @Test func ropeRefusesWhatTheTablesDoNotCover() throws {
        let x = try zeros(1, 4, 2, 6), table = try zeros(8, 3)
        #expect(throws: Never.self) { try x.rope(cosines: table, sines: table, offset: 4) }
        #expect(throws: TensorError.self) { try x.rope(cosines: table, sines: table, offset: 5) }
        #expect(throws: TensorError.self) { try x.rope(cosines: table, sines: table, offset: -1) }
        #expect(throws: TensorError.self) { try x.rope(cosines: table, sines: table, offset: .max) }
        #expect(throws: TensorError.self) { try zeros(1, 4, 2, 5).rope(cosines: table, sines: table, offset: 0) }
    }

    @Test func mixersRefuseMismatches() throws {
        let q = try zeros(1, 4, 6, 8), k = try zeros(1, 4, 3, 8), v = try zeros(1, 4, 3, 5)
        #expect(throws: TensorError.self) { try q.attention(k: zeros(1, 4, 4, 8), v: zeros(1, 4, 4, 5), scale: 1) }
        #expect(throws: TensorError.self) { try q.attention(k: zeros(1, 3, 3, 8), v: zeros(1, 3, 3, 5), scale: 1) }
        #expect(throws: TensorError.self) { try q.attention(k: k, v: v, scale: 1, span: AttentionSpan(window: 0)) }
        #expect(throws: TensorError.self) { try q.attention(k: k, v: v, scale: 1, documents: [0, 2, 2]) }
        #expect(throws: TensorError.self) { try q.attention(k: k, v: v, scale: 1, documents: [1]) }
        #expect(throws: TensorError.self) { try q.attention(k: k, v: v, scale: 1, documents: []) }
        var state = try GatedSlotState.zeros(batch: 1, heads: 3, slots: 7, keyDim: 8, valueDim: 4)
        #expect(throws: TensorError.self) {
            try Tensor.gatedSlotAttention(q: q, k: k, v: v, logGates: zeros(1, 4, 3, 7), scale: 1, state: &state)
        }
    }

    @Test func backwardMixersRefuseMismatches() throws {
        let q = try zeros(1, 4, 6, 8), k = try zeros(1, 4, 3, 8), v = try zeros(1, 4, 3, 5), out = try zeros(1, 4, 6, 5)
        #expect(throws: Never.self) { try out.attentionBackward(q: q, k: k, v: v, output: out, scale: 1) }
        #expect(throws: TensorError.self) { try q.attentionBackward(q: q, k: k, v: v, output: out, scale: 1) }
        #expect(throws: TensorError.self) { try out.attentionBackward(q: q, k: k, v: v, output: q, scale: 1) }
        #expect(throws: TensorError.self) {
            try out.attentionBackward(q: q, k: k, v: v, output: out, scale: 1, documents: [0, 4])
        }
        let gates = try zeros(1, 4, 3, 7)
        let state = try GatedSlotState.zeros(batch: 1, heads: 3, slots: 7, keyDim: 8, valueDim: 5)
        let other = try GatedSlotState.zeros(batch: 1, heads: 3, slots: 7, keyDim: 8, valueDim: 4)
        func backward(_ gradient: Tensor, _ initial: GatedSlotState, _ final: GatedSlotState?) throws {
            _ = try gradient.gatedSlotAttentionBackward(
                q: q, k: k, v: v, logGates: gates, scale: 1, initial: initial, finalGradient: final)
        }
        #expect(throws: Never.self) { try backward(out, state, state) }
        #expect(throws: TensorError.self) { try backward(q, state, nil) }
        #expect(throws: TensorError.self) { try backward(out, other, nil) }
        #expect(throws: TensorError.self) { try backward(out, state, other) }
    }

    @Test func recurrencesRefuseMismatches() throws {
        let q = try zeros(1, 4, 6, 8), k = try zeros(1, 4, 3, 8), v = try zeros(1, 4, 3, 5), betas = try zeros(1, 4, 3)
        var state = try zeros(1, 3, 8, 5)
        func run(_ decays: Tensor, _ betas: Tensor, documents: Documents? = nil) throws {
            _ = try Tensor.gatedDelta(
                q: q, k: k, v: v, logDecays: decays, betas: betas, scale: 1, state: &state, documents: documents)
        }
        #expect(throws: Never.self) { try run(zeros(1, 4, 3, 8), betas) }
        #expect(throws: Never.self) { try run(zeros(1, 4, 3, 1), betas) }
        #expect(
            throws: TensorError.shape(
                operation: "gatedDelta", argument: "logDecays", expected: "[1, 4, 3, 8] or [1, 4, 3, 1]",
                found: [1, 4, 3, 5])
        ) { try run(zeros(1, 4, 3, 5), betas) }
        #expect(throws: TensorError.self) { try run(zeros(1, 4, 3, 1, dtype: .bfloat16), betas) }
        #expect(throws: TensorError.self) { try run(zeros(1, 4, 3, 1), zeros(1, 4, 6)) }
        #expect(throws: TensorError.self) { try run(zeros(1, 4, 3, 1), betas, documents: [0, 4]) }
        #expect(throws: TensorError.self) {
            try Tensor.gatedLinear(q: q, k: zeros(1, 4, 4, 8), v: v, logDecays: zeros(1, 4, 3, 1), scale: 1)
        }
        let empty = try zeros(1, 4, 3, 0)
        #expect(throws: TensorError.self) {
            try Tensor.gatedLinear(
                q: zeros(1, 4, 6, 0), k: empty, v: v, logDecays: zeros(1, 4, 3, 1), scale: 1)
        }
        state = try zeros(1, 3, 5, 8)
        #expect(throws: TensorError.self) { try run(zeros(1, 4, 3, 1), betas) }
        let inputs = Recurrence(q: q, k: k, v: v, logDecays: try zeros(1, 4, 3, 1), betas: betas, scale: 1)
        let out = try zeros(1, 4, 6, 5), initial = try zeros(1, 3, 8, 5)
        #expect(throws: Never.self) { try out.recurrenceBackward(inputs, initial: initial, finalGradient: initial) }
        #expect(throws: TensorError.self) { try q.recurrenceBackward(inputs, initial: initial) }
        #expect(throws: TensorError.self) { try out.recurrenceBackward(inputs, initial: state) }
        #expect(throws: TensorError.self) { try out.recurrenceBackward(inputs, initial: initial, finalGradient: state) }
    }

    @Test func impossibleShapesAreRefused() throws {
        #expect(throws: TensorError.self) { try Tensor.empty([-1]) }
        #expect(throws: TensorError.self) { try Tensor.empty([.max, 2]) }
        #expect(throws: TensorError.self) { try Tensor.empty([0, .max, .max]) }
        #expect(throws: TensorError.self) { try Tensor([Float(1), 2], shape: [3]) }
        #expect(throws: TensorError.self) { try Tensor([Float(1), 2], shape: [-1, -2]) }
        #expect(throws: TensorError.self) { try Tensor([Float(1), 2], shape: [2]).reshaped([.max, .max]) }
        #expect(throws: TensorError.self) { try Tensor([Float(1), 2], shape: [2]).array(Double.self) }
    }

    @Test func copiesAreIndependent() throws {
        let first = try Tensor([Float(1), 2, 3, 4], shape: [2, 2])
        var second = first
        try second.withMutable(Float.self) { $0[3] = 9 }
        var row = try first.rows(1..<2)
        try row.withMutable(Float.self) { $0[0] = 7 }
        #expect(try first.array() == [1, 2, 3, 4])
        #expect(try second.array() == [1, 2, 3, 9])
        #expect(try row.array() == [7, 4])
    }
}
