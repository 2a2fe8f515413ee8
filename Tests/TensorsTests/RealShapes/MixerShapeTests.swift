import CKernels
import Tensors
import TestSupport
import Testing

extension KernelTests {
    /// Mixers at the heads of published models.
    @Suite("Mixers at real shapes", .timeLimit(.minutes(5))) struct MixerShapeTests {
        /// Every instruction set, with one thread and two in turn.
        private func withEverySet(_ body: (KernelChoice) throws -> Void) throws {
            for (index, set) in KernelChoice.sets.enumerated() {
                let choice = KernelChoice(set: set, threads: index % 2 + 1, oneDNN: false)
                try choice.run { try body(choice) }
            }
        }

        private func attentionCase(
            _ shape: ModelShape, queries: Int, keys: Int, window: Int? = nil, sinks: Int = 0
        ) -> AttentionTests.Case {
            AttentionTests.Case(
                queries: queries, keys: keys, heads: shape.heads, keyHeads: shape.keyValueHeads,
                keyDim: shape.headDim, valueDim: shape.headDim, window: window, sinks: sinks)
        }

        /// A token, a few, a block, and a token over so many keys that few heads split them.
        @Test("softmax attention", arguments: ModelShape.attention)
        func attention(_ shape: ModelShape) throws {
            let cases = [
                attentionCase(shape, queries: 1, keys: 67), attentionCase(shape, queries: 7, keys: 13),
                attentionCase(shape, queries: 20, keys: 70, window: 33), attentionCase(shape, queries: 1, keys: 520),
                attentionCase(shape, queries: 20, keys: 70, window: 16, sinks: 4),
            ]
            for test in cases {
                let inputs = try AttentionBackwardTests.Inputs(test)
                let expected = try Oracle.attention(
                    q: inputs.q, k: inputs.k, v: inputs.v, scale: inputs.scale, span: test.span)
                try withEverySet { choice in
                    let out = try inputs.q.attention(
                        k: inputs.k, v: inputs.v, scale: inputs.scale, span: test.span)
                    try expectClose(doubles(out), expected, 3e-6, "\(test), \(choice)")
                }
            }
        }

        @Test("gradients of softmax attention", arguments: ModelShape.attention)
        func attentionBackward(_ shape: ModelShape) throws {
            let cases = [
                attentionCase(shape, queries: 9, keys: 20),
                attentionCase(shape, queries: 9, keys: 20, window: 5, sinks: 4),
            ]
            for test in cases {
                let inputs = try AttentionBackwardTests.Inputs(test)
                let expected = try Oracle.attentionBackward(
                    inputs.gradient, q: inputs.q, k: inputs.k, v: inputs.v, scale: inputs.scale, span: test.span)
                try withEverySet { choice in
                    let found = try inputs.gradient.attentionBackward(
                        q: inputs.q, k: inputs.k, v: inputs.v, output: inputs.output, scale: inputs.scale,
                        span: test.span)
                    try expectCloseInScale(doubles(found.q), expected.q, 1e-5, "\(test), q, \(choice)")
                    try expectCloseInScale(doubles(found.k), expected.k, 1e-5, "\(test), k, \(choice)")
                    try expectCloseInScale(doubles(found.v), expected.v, 1e-5, "\(test), v, \(choice)")
                }
            }
        }

        private func slotCase(_ shape: ModelShape, tokens: Int) -> GatedSlotAttentionTests.Case {
            GatedSlotAttentionTests.Case(
                tokens: tokens, heads: shape.heads, keyHeads: shape.keyValueHeads, keyDim: shape.headDim,
                valueDim: shape.headDim, slots: shape.keyValueHeads > 4 ? 24 : 64)
        }

        /// A token, and a block and a part of one in all forms.
        @Test("gated slot attention", arguments: ModelShape.attention)
        func slots(_ shape: ModelShape) throws {
            for tokens in [1, 18] {
                let inputs = try slotCase(shape, tokens: tokens).inputs
                let expected = try inputs.oracle()
                try withEverySet { choice in
                    for (name, form) in GatedSlotAttentionTests.forms.dropFirst() {
                        let (out, state) = try inputs.run(form)
                        let what = "\(tokens) tokens, \(name), \(choice)"
                        try expectClose(doubles(out), expected.out, 1e-5, "outputs, \(what)")
                        try expectClose(doubles(state.keys), expected.keys, 1e-5, "slot keys, \(what)")
                        try expectClose(doubles(state.values), expected.values, 1e-5, "slot values, \(what)")
                    }
                }
            }
        }

        @Test("gradients of gated slot attention", arguments: ModelShape.attention)
        func slotsBackward(_ shape: ModelShape) throws {
            let test = slotCase(shape, tokens: 18)
            let inputs = try test.inputs
            let incoming = try GatedSlotAttentionBackwardTests.incoming(test, final: true)
            let expected = try GatedSlotAttentionBackwardTests.oracle(inputs, incoming.gradient, incoming.final)
            try withEverySet { choice in
                let found = try GatedSlotAttentionBackwardTests.found(inputs, incoming.gradient, incoming.final)
                for ((name, found), (_, expected)) in try zip(GatedSlotAttentionBackwardTests.arrays(found), expected) {
                    expectCloseInScale(found, expected, 1e-5, "\(name), \(choice)")
                }
            }
        }

        /// One group of heads: a token, and a block and a part of one, and gradients of these.
        @Test("recurrences", arguments: ModelShape.attention, RecurrenceTests.Rule.allCases)
        func recurrences(_ shape: ModelShape, _ rule: RecurrenceTests.Rule) throws {
            for tokens in [1, 18] {
                let test = RecurrenceTests.Case(
                    tokens: tokens, heads: shape.heads / shape.keyValueHeads, keyHeads: 1, keyDim: shape.headDim,
                    valueDim: shape.headDim)
                let inputs = try test.inputs(rule)
                let incoming = try RecurrenceBackwardTests.incoming(test)
                let expected = try inputs.oracle()
                let gradients = try RecurrenceBackwardTests.oracle(inputs, incoming.gradient, incoming.final)
                try withEverySet { choice in
                    for (name, form) in RecurrenceTests.forms.dropFirst() {
                        let (out, state) = try inputs.run(form)
                        let what = "\(tokens) tokens, \(name), \(choice)"
                        try expectCloseInScale(doubles(out), expected.out, 1e-5, "outputs, \(what)")
                        try expectCloseInScale(doubles(state), expected.state, 1e-5, "state, \(what)")
                    }
                    // Of one token a beta's gradient is one sum, whose parts may cancel.
                    guard tokens > 1 else { return }
                    let found = try RecurrenceBackwardTests.found(inputs, incoming.gradient, incoming.final)
                    for (found, (name, expected)) in zip(found, gradients) {
                        try expectCloseInScale(doubles(found), expected, 1e-5, "\(name), \(choice)")
                    }
                }
            }
        }

        @Test("rotary positions and their gradients, and mixing heads", arguments: ModelShape.attention)
        func heads(_ shape: ModelShape) throws {
            let (tokens, dim) = (3, shape.headDim)
            var random = Random(91)
            let x = try random.tensor([1, tokens, shape.heads, dim]), y = try random.tensor(x.shape)
            let cosines = try random.tensor([tokens, dim / 2]), sines = try random.tensor([tokens, dim / 2])
            let logits = try random.tensor([1, tokens, shape.heads], scale: 4)
            let (a, b, c, s, l) = try (doubles(x), doubles(y), doubles(cosines), doubles(sines), doubles(logits))
            func turned(_ sign: Double) -> [Double] {
                a.indices.map { i in
                    let k = i % dim, angle = i / (dim * shape.heads) * (dim / 2) + k % (dim / 2)
                    return k < dim / 2
                        ? a[i] * c[angle] - sign * a[i + dim / 2] * s[angle]
                        : a[i] * c[angle] + sign * a[i - dim / 2] * s[angle]
                }
            }
            let (forward, back, mixed) = (turned(1), turned(-1), GradientOracle.mix(a, b, logits: l))
            try withEverySet { choice in
                expectClose(
                    try doubles(x.rope(cosines: cosines, sines: sines, offset: 0)), forward, 0x1p-21, "rope \(choice)")
                expectClose(
                    try doubles(
                        CPUBackend.shared.ropeBackward(x, cosines: cosines, sines: sines, offset: 0, documents: nil)),
                    back,
                    0x1p-21, "back \(choice)")
                expectClose(try doubles(.mix(x, y, logits: logits)), mixed, 0x1p-21, "mix \(choice)")
            }
        }
    }
}
