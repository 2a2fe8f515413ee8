import CKernels
import Tensors
import Testing

extension KernelTests {
    /// Gradients of GSA against the chain rule on the recurrence in float64, and that against finite differences.
    @Suite struct GatedSlotAttentionBackwardTests {
        typealias Case = GatedSlotAttentionTests.Case
        typealias Inputs = GatedSlotAttentionTests.Inputs

        /// Gradients of a case's outputs and, if asked for, of its final state.
        static func incoming(_ test: Case, final: Bool) throws -> (gradient: Tensor, final: GatedSlotState?) {
            var random = Random(31)
            let gradient = try random.tensor([test.batch, test.tokens, test.heads, test.valueDim])
            let outer = [test.batch, test.keyHeads, test.slots]
            return try (
                gradient,
                final
                    ? GatedSlotState(
                        keys: random.tensor(outer + [test.keyDim]), values: random.tensor(outer + [test.valueDim]))
                    : nil
            )
        }

        static func arrays(_ gradients: GatedSlotGradients) throws -> [(String, [Double])] {
            let initial = try #require(gradients.initial)
            return try Oracle.GatedSlotGradientArrays(
                q: doubles(gradients.q), k: doubles(gradients.k), v: doubles(gradients.v),
                logGates: doubles(gradients.logGates), keys: doubles(initial.keys),
                values: doubles(initial.values)
            ).named
        }

        static func oracle(
            _ inputs: Inputs, _ gradient: Tensor, _ final: GatedSlotState?
        ) throws -> [(String, [Double])] {
            try Oracle.gatedSlotAttentionBackward(
                gradient, q: inputs.q, k: inputs.k, v: inputs.v, logGates: inputs.logGates, scale: inputs.scale,
                state: inputs.state, finalGradient: final, documents: inputs.documents
            ).named
        }

        static func found(_ inputs: Inputs, _ gradient: Tensor, _ final: GatedSlotState?) throws -> GatedSlotGradients {
            try gradient.gatedSlotAttentionBackward(
                q: inputs.q, k: inputs.k, v: inputs.v, logGates: inputs.logGates, scale: inputs.scale,
                initial: inputs.state, finalGradient: final, documents: inputs.documents.map(Documents.init(_:)))
        }

        @Test(arguments: GatedSlotAttentionTests.cases, [false, true])
        func isTheChainRule(_ test: Case, final: Bool) throws {
            let inputs = try test.inputs
            let incoming = try Self.incoming(test, final: final)
            let expected = try Self.oracle(inputs, incoming.gradient, incoming.final)
            try withEveryKernel { choice in
                let gradients = try Self.found(inputs, incoming.gradient, incoming.final)
                #expect(gradients.q.shape == inputs.q.shape)
                #expect(gradients.k.shape == inputs.k.shape)
                #expect(gradients.v.shape == inputs.v.shape)
                #expect(gradients.logGates.shape == inputs.logGates.shape)
                #expect(gradients.initial?.keys.shape == inputs.state.keys.shape)
                #expect(gradients.initial?.values.shape == inputs.state.values.shape)
                for ((name, found), (_, expected)) in try zip(Self.arrays(gradients), expected) {
                    expectCloseInScale(found, expected, 1e-5, "\(name), \(choice)")
                }
            }
        }

        @Test(arguments: [
            Case(batch: 2, tokens: 5, heads: 4, keyHeads: 2, keyDim: 3, valueDim: 4, slots: 3),
            Case(tokens: 7, heads: 3, keyHeads: 1, keyDim: 4, valueDim: 3, slots: 5, documents: [0, 2, 3]),
            Case(tokens: 6, heads: 2, keyHeads: 1, keyDim: 2, valueDim: 2, slots: 3, gates: .between(1e-3, 8)),
        ])
        func chainRuleIsFiniteDifferences(_ test: Case) throws {
            let inputs = try test.inputs
            let incoming = try Self.incoming(test, final: true)
            let final = try #require(incoming.final)
            let weights = try doubles(incoming.gradient) + doubles(final.keys) + doubles(final.values)
            func differences(_ path: WritableKeyPath<Inputs, Tensor>) throws -> [Double] {
                try Oracle.differences(of: inputs[keyPath: path]) { moved in
                    var inputs = inputs
                    inputs[keyPath: path] = moved
                    let results = try inputs.oracle()
                    return zip(weights, results.out + results.keys + results.values).reduce(0) { $0 + $1.0 * $1.1 }
                }
            }
            let paths: [WritableKeyPath<Inputs, Tensor>] = [
                \.q, \.k, \.v, \.logGates, \.state.keys, \.state.values,
            ]
            for (path, (name, gradient)) in try zip(paths, Self.oracle(inputs, incoming.gradient, final)) {
                try expectCloseInScale(gradient, differences(path), 1e-5, name)
            }
        }

        /// Two threads share heads, or, where these are odd, chunks as well: every bit is the same as for one.
        @Test(arguments: [
            Case(batch: 2, tokens: 150, heads: 9, keyHeads: 3, keyDim: 24, valueDim: 20, slots: 20),
            Case(tokens: 900, heads: 9, keyHeads: 3, keyDim: 24, valueDim: 20, slots: 20, gates: .between(1e-5, 9)),
            Case(
                tokens: 2300, heads: 3, keyHeads: 1, keyDim: 8, valueDim: 12, slots: 20, documents: [0, 70, 640, 2240]),
        ])
        func threadsChangeNothing(_ test: Case) throws {
            let inputs = try test.inputs
            let incoming = try Self.incoming(test, final: true)
            let results = try [1, 2].map { threads in
                var arrays: [[Double]] = []
                try KernelChoice(set: String(cString: moult_kernels_name()), threads: threads, oneDNN: true).run {
                    arrays = try Self.arrays(Self.found(inputs, incoming.gradient, incoming.final)).map(\.1)
                }
                return arrays
            }
            #expect(results[0] == results[1])
        }

        @Test func oracleIsFlashLinearAttention() throws {
            for (index, test) in try fixture("gated_slot_attention_backward", of: GatedSlotBackwardFixture.self)
                .enumerated()
            {
                let inputs = try Inputs(
                    q: test.q.tensor, k: test.k.tensor, v: test.v.tensor, logGates: test.logGates.tensor,
                    scale: test.scale, state: GatedSlotState(keys: test.keys.tensor, values: test.values.tensor))
                let final = try GatedSlotState(
                    keys: test.finalKeysGradient.tensor, values: test.finalValuesGradient.tensor)
                let gradient = try test.gradient.tensor
                let expected = try test.gradients.map { try doubles($0.tensor) }
                for (found, expected) in try zip(Self.oracle(inputs, gradient, final), expected) {
                    expectCloseInScale(found.1, expected, 1e-5, "oracle's \(found.0), case \(index)")
                }
                try withEveryKernel { choice in
                    for (found, expected) in try zip(Self.arrays(Self.found(inputs, gradient, final)), expected) {
                        expectCloseInScale(found.1, expected, 1e-5, "\(found.0), case \(index), \(choice)")
                    }
                }
            }
        }

        /// Without tokens the gradient of the final state is that of the initial one; without slots all others are zero.
        @Test func emptyShapes() throws {
            let test = Case(tokens: 0)
            let incoming = try Self.incoming(test, final: true)
            let found = try Self.found(test.inputs, incoming.gradient, incoming.final)
            let final = try #require(incoming.final)
            #expect(try found.initial?.keys.array(Float.self) == final.keys.array(Float.self))
            #expect(try found.initial?.values.array(Float.self) == final.values.array(Float.self))

            let slotless = Case(tokens: 3, slots: 0)
            let gradients = try Self.found(slotless.inputs, Self.incoming(slotless, final: false).gradient, nil)
            for (name, array) in try Self.arrays(gradients) { #expect(array.allSatisfy { $0 == 0 }, "\(name)") }
            #expect(gradients.q.count > 0)
        }
    }
}
