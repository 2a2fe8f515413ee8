import CKernels
import Tensors
import Testing

extension KernelTests {
    /// Gradients of softmax attention against the chain rule in float64, and that against finite differences.
    @Suite struct AttentionBackwardTests {
        typealias Case = AttentionTests.Case

        struct Inputs {
            var q, k, v, output, gradient: Tensor
            var scale: Float

            init(_ test: Case) throws {
                var random = Random(17)
                q = try random.tensor([test.batch, test.queries, test.heads, test.keyDim], scale: test.size)
                k = try random.tensor([test.batch, test.keys, test.keyHeads, test.keyDim], scale: test.size)
                v = try random.tensor([test.batch, test.keys, test.keyHeads, test.valueDim])
                gradient = try random.tensor([test.batch, test.queries, test.heads, test.valueDim])
                scale = 1 / Float(test.keyDim).squareRoot()
                output = try q.attention(
                    k: k, v: v, scale: scale, cap: test.cap, span: test.span,
                    documents: test.documents.map(Documents.init(_:)))
            }
        }

        /// Long enough for several ranges of queries: of all keys, with a window, and with the queries being few.
        static let long = [
            Case(queries: 700, keys: 700, heads: 2, keyHeads: 1, keyDim: 8, valueDim: 8),
            Case(queries: 1100, keys: 1200, heads: 2, keyHeads: 1, keyDim: 8, valueDim: 8, window: 70),
            Case(queries: 600, keys: 1300, heads: 2, keyHeads: 2, keyDim: 8, valueDim: 8, documents: [0, 650, 900]),
            Case(queries: 1100, keys: 1200, heads: 2, keyHeads: 1, keyDim: 8, valueDim: 8, window: 70, sinks: 4),
            Case(
                queries: 1100, keys: 1100, heads: 2, keyHeads: 1, keyDim: 8, valueDim: 8, window: 64, sinks: 5,
                documents: [0, 2, 250, 258, 600, 601]),
            // The scores of a block are kept, and not.
            Case(queries: 700, keys: 700, heads: 2, keyHeads: 1, keyDim: 8, valueDim: 8, size: 3, cap: 2),
            Case(
                queries: 1100, keys: 1200, heads: 2, keyHeads: 1, keyDim: 8, valueDim: 8, window: 70, sinks: 4, cap: 0.5
            ),
        ]

        @Test(arguments: AttentionTests.cases + long) func isTheChainRule(_ test: Case) throws {
            let inputs = try Inputs(test)
            let expected = try Oracle.attentionBackward(
                inputs.gradient, q: inputs.q, k: inputs.k, v: inputs.v, scale: inputs.scale, cap: test.cap,
                span: test.span,
                documents: test.documents)
            try withEveryKernel { choice in
                let found = try inputs.gradient.attentionBackward(
                    q: inputs.q, k: inputs.k, v: inputs.v, output: inputs.output, scale: inputs.scale,
                    cap: test.cap, span: test.span, documents: test.documents.map(Documents.init(_:)))
                #expect(found.q.shape == inputs.q.shape)
                #expect(found.k.shape == inputs.k.shape)
                #expect(found.v.shape == inputs.v.shape)
                let tolerance = test.size > 1 ? 2e-3 : 1e-5
                try expectCloseInScale(doubles(found.q), expected.q, tolerance, "q, \(choice)")
                try expectCloseInScale(doubles(found.k), expected.k, tolerance, "k, \(choice)")
                try expectCloseInScale(doubles(found.v), expected.v, tolerance, "v, \(choice)")
            }
        }

        @Test(arguments: [
            Case(batch: 2, queries: 4, keys: 4, heads: 4, keyHeads: 2, keyDim: 3, valueDim: 2),
            Case(queries: 6, keys: 9, heads: 2, keyHeads: 1, keyDim: 2, valueDim: 3, window: 3, documents: [0, 4, 5]),
            Case(
                queries: 8, keys: 9, heads: 2, keyHeads: 1, keyDim: 2, valueDim: 3, window: 2, sinks: 2,
                documents: [0, 5]),
            Case(
                queries: 8, keys: 9, heads: 2, keyHeads: 1, keyDim: 2, valueDim: 3, window: 2, sinks: 2,
                documents: [0, 5], size: 2, cap: 0.8),
        ])
        func chainRuleIsFiniteDifferences(_ test: Case) throws {
            let inputs = try Inputs(test)
            let weights = try doubles(inputs.gradient)
            func differences(_ path: WritableKeyPath<Inputs, Tensor>) throws -> [Double] {
                try Oracle.differences(of: inputs[keyPath: path]) { moved in
                    var inputs = inputs
                    inputs[keyPath: path] = moved
                    let out = try Oracle.attention(
                        q: inputs.q, k: inputs.k, v: inputs.v, scale: inputs.scale, cap: test.cap, span: test.span,
                        documents: test.documents)
                    return zip(weights, out).reduce(0) { $0 + $1.0 * $1.1 }
                }
            }
            let chainRule = try Oracle.attentionBackward(
                inputs.gradient, q: inputs.q, k: inputs.k, v: inputs.v, scale: inputs.scale, cap: test.cap,
                span: test.span,
                documents: test.documents)
            try expectCloseInScale(chainRule.q, differences(\.q), 1e-5, "q")
            try expectCloseInScale(chainRule.k, differences(\.k), 1e-5, "k")
            try expectCloseInScale(chainRule.v, differences(\.v), 1e-5, "v")
        }

        /// Ranges of queries depend on the shape alone: every bit is the same for one thread and two.
        @Test(arguments: long) func threadsChangeNothing(_ test: Case) throws {
            let inputs = try Inputs(test)
            let results = try [1, 2].map { threads in
                var arrays: [[Double]] = []
                try KernelChoice(set: String(cString: moult_kernels_name()), threads: threads, oneDNN: true).run {
                    let found = try inputs.gradient.attentionBackward(
                        q: inputs.q, k: inputs.k, v: inputs.v, output: inputs.output, scale: inputs.scale,
                        cap: test.cap, span: test.span, documents: test.documents.map(Documents.init(_:)))
                    arrays = try [doubles(found.q), doubles(found.k), doubles(found.v)]
                }
                return arrays
            }
            #expect(results[0] == results[1])
        }

        @Test func oracleIsTorch() throws {
            for (index, test) in try fixture("attention_backward", of: AttentionBackwardFixture.self).enumerated() {
                let (q, k, v) = try (test.q.tensor, test.k.tensor, test.v.tensor)
                let (out, gradient) = try (test.out.tensor, test.gradient.tensor)
                let expected = try test.gradients.map { try doubles($0.tensor) }
                let oracle = try Oracle.attentionBackward(
                    gradient, q: q, k: k, v: v, scale: test.scale, span: test.span, documents: test.documents)
                for (found, expected) in zip([oracle.q, oracle.k, oracle.v], expected) {
                    expectCloseInScale(found, expected, 1e-6, "oracle, case \(index)")
                }
                try withEveryKernel { choice in
                    let found = try gradient.attentionBackward(
                        q: q, k: k, v: v, output: out, scale: test.scale, span: test.span,
                        documents: test.documents.map(Documents.init(_:)))
                    for (found, expected) in zip([found.q, found.k, found.v], expected) {
                        try expectCloseInScale(doubles(found), expected, 1e-5, "case \(index), \(choice)")
                    }
                }
            }
        }
    }
}
