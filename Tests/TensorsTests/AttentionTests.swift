import Tensors
import Testing

extension KernelTests {
    /// Softmax attention against its definition in float64, and against torch.
    @Suite struct AttentionTests {
        struct Case: Sendable, CustomStringConvertible {
            var batch = 1
            var queries: Int
            var keys: Int
            var heads = 9
            var keyHeads = 3
            var keyDim = 64
            var valueDim = 64
            var window: Int?
            var sinks = 0
            var documents: [Int]?
            var size: Float = 1
            var cap: Float?

            var span: AttentionSpan { AttentionSpan(window: window, sinks: sinks) }

            var description: String {
                "B \(batch) T \(queries) S \(keys) H \(heads) N \(keyHeads) K \(keyDim) V \(valueDim) "
                    + "window \(window.map(String.init) ?? "none") sinks \(sinks) documents \(documents ?? []) size \(size) "
                    + "cap \(cap ?? 0)"
            }
        }

        static let cases = [
            Case(queries: 1, keys: 1),
            Case(batch: 2, queries: 5, keys: 5, heads: 4, keyHeads: 2, keyDim: 8, valueDim: 8),
            Case(queries: 150, keys: 150),
            Case(batch: 2, queries: 70, keys: 97, heads: 6, keyHeads: 2, keyDim: 20, valueDim: 12),
            Case(queries: 40, keys: 130, heads: 3, keyHeads: 3, keyDim: 33, valueDim: 65),
            Case(queries: 20, keys: 20, heads: 2, keyHeads: 1, keyDim: 1, valueDim: 1),
            Case(queries: 66, keys: 66, heads: 1, keyHeads: 1, keyDim: 256, valueDim: 255),
            Case(queries: 9, keys: 80, heads: 128, keyHeads: 1, keyDim: 7, valueDim: 9),
            // Decoding, and long enough to be split over the keys.
            Case(queries: 1, keys: 1700),
            Case(batch: 2, queries: 8, keys: 1300, heads: 8, keyHeads: 2, keyDim: 15, valueDim: 31),
            // Windows: of one key, below and above a tile, as long as the keys.
            Case(queries: 100, keys: 100, heads: 2, keyHeads: 1, keyDim: 16, valueDim: 16, window: 1),
            Case(queries: 100, keys: 130, heads: 2, keyHeads: 1, keyDim: 16, valueDim: 16, window: 7),
            Case(queries: 300, keys: 300, heads: 3, keyHeads: 1, keyDim: 16, valueDim: 16, window: 64),
            Case(queries: 4, keys: 400, heads: 3, keyHeads: 1, keyDim: 16, valueDim: 16, window: 100),
            Case(queries: 50, keys: 50, heads: 2, keyHeads: 1, keyDim: 16, valueDim: 16, window: 50),
            Case(queries: 50, keys: 50, heads: 2, keyHeads: 1, keyDim: 16, valueDim: 16, window: 5000),
            // Documents, alone and with a window; the last case splits the keys and masks the first splits.
            Case(queries: 140, keys: 140, heads: 3, keyHeads: 1, documents: [0, 3, 4, 63, 64, 130]),
            Case(queries: 90, keys: 140, heads: 3, keyHeads: 1, window: 20, documents: [0, 64, 70, 139]),
            Case(queries: 3, keys: 1600, heads: 3, keyHeads: 1, documents: [0, 900, 1598]),
            // Sinks: before all windows, within them and partly, in every document, without a window, and most of them.
            Case(queries: 100, keys: 100, heads: 2, keyHeads: 1, keyDim: 16, valueDim: 16, window: 1, sinks: 1),
            Case(
                batch: 2, queries: 300, keys: 300, heads: 3, keyHeads: 1, keyDim: 16, valueDim: 16, window: 64, sinks: 4
            ),
            Case(queries: 40, keys: 130, heads: 4, keyHeads: 2, keyDim: 17, valueDim: 9, window: 7, sinks: 3),
            Case(queries: 4, keys: 400, heads: 3, keyHeads: 1, keyDim: 16, valueDim: 16, window: 100, sinks: 4),
            Case(queries: 90, keys: 140, heads: 3, keyHeads: 1, window: 20, sinks: 4, documents: [0, 64, 70, 139]),
            Case(
                queries: 140, keys: 140, heads: 3, keyHeads: 1, window: 5, sinks: 9, documents: [0, 3, 4, 63, 64, 130]),
            Case(queries: 50, keys: 50, heads: 2, keyHeads: 1, keyDim: 16, valueDim: 16, sinks: 4),
            Case(queries: 150, keys: 150, heads: 2, keyHeads: 1, keyDim: 16, valueDim: 16, window: 33, sinks: 64),
            // Scores in the thousands: weights of one and zero.
            Case(queries: 90, keys: 90, heads: 3, keyHeads: 1, size: 60),
            // Capped: many rows, few, split over the keys, windows with sinks in documents, and mostly at the cap.
            Case(queries: 70, keys: 97, heads: 6, keyHeads: 2, keyDim: 20, valueDim: 12, size: 3, cap: 2),
            Case(queries: 1, keys: 1700, cap: 0.5),
            Case(batch: 2, queries: 5, keys: 5, heads: 4, keyHeads: 2, keyDim: 8, valueDim: 8, cap: 50),
            Case(
                queries: 140, keys: 140, heads: 3, keyHeads: 1, window: 5, sinks: 9, documents: [0, 3, 4, 63, 64, 130],
                cap: 0.7),
            Case(
                queries: 300, keys: 300, heads: 3, keyHeads: 1, keyDim: 16, valueDim: 16, window: 64, sinks: 4, cap: 1),
            Case(queries: 90, keys: 90, heads: 3, keyHeads: 1, size: 60, cap: 30),
        ]

        @Test(arguments: cases) func isItsDefinition(_ test: Case) throws {
            var random = Random(17)
            let q = try random.tensor([test.batch, test.queries, test.heads, test.keyDim], scale: test.size)
            let k = try random.tensor([test.batch, test.keys, test.keyHeads, test.keyDim], scale: test.size)
            let v = try random.tensor([test.batch, test.keys, test.keyHeads, test.valueDim])
            let scale = 1 / Float(test.keyDim).squareRoot()
            let expected = try Oracle.attention(
                q: q, k: k, v: v, scale: scale, cap: test.cap, span: test.span, documents: test.documents)
            try withEveryKernel { choice in
                let out = try q.attention(
                    k: k, v: v, scale: scale, cap: test.cap, span: test.span,
                    documents: test.documents.map(Documents.init(_:)))
                #expect(out.shape == [test.batch, test.queries, test.heads, test.valueDim])
                try expectClose(doubles(out), expected, test.size > 1 ? 2e-3 : 2e-6, "\(test), \(choice)")
            }
        }

        @Test(
            "sinks that are out of the window's reach may be seen with other queries",
            arguments: cases.filter { $0.sinks > 0 })
        func sinkQueries(_ test: Case) throws {
            var random = Random(18)
            let q = try random.tensor([test.batch, test.queries, test.heads, test.keyDim])
            let far = try random.tensor(q.shape)
            let k = try random.tensor([test.batch, test.keys, test.keyHeads, test.keyDim])
            let v = try random.tensor([test.batch, test.keys, test.keyHeads, test.valueDim])
            // The far queries are those of whole blocks: where a sink is far for one query of a block and near for another,
            // a caller's are alike.
            guard test.documents == nil, test.queries + (test.window ?? test.keys) < test.keys else { return }
            let expected = try Oracle.attention(
                q: q, k: k, v: v, scale: 0.4, cap: test.cap, span: test.span, sinkQueries: far)
            try withEveryKernel { choice in
                let out = try q.attention(k: k, v: v, scale: 0.4, cap: test.cap, span: test.span, sinkQueries: far)
                try expectClose(doubles(out), expected, 2e-6, "\(test), \(choice)")
            }
        }

        @Test func oracleIsTorch() throws {
            for (index, test) in try fixture("attention", of: AttentionFixture.self).enumerated() {
                let (q, k, v) = try (test.q.tensor, test.k.tensor, test.v.tensor)
                let expected = try doubles(test.out.tensor)
                let oracle = try Oracle.attention(
                    q: q, k: k, v: v, scale: test.scale, span: test.span, documents: test.documents)
                expectClose(oracle, expected, 1e-6, "oracle, case \(index)")
                try withEveryKernel { choice in
                    let out = try q.attention(
                        k: k, v: v, scale: test.scale, span: test.span,
                        documents: test.documents.map(Documents.init(_:)))
                    try expectClose(doubles(out), expected, 3e-6, "case \(index), \(choice)")
                }
            }
        }
    }
}
