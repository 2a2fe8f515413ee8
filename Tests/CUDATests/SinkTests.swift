import Tensors
import Testing

extension CUDATests {
    @Suite("Attention to sinks on a GPU") struct SinkTests {
        /// Sizes of a case: K and the query heads of each group are among those that the emulator has kernels for.
        struct Case: Sendable, CustomTestStringConvertible {
            var batch = 1
            var tokens: Int
            var keys: Int?
            var heads = 1
            var group = 2
            var dim = 16
            var window: Int?
            var sinks: Int
            var documents: [Int]?
            var span: AttentionSpan { AttentionSpan(window: window, sinks: sinks) }
            var testDescription: String {
                "B \(batch) T \(tokens) S \(keys ?? tokens) N \(heads) G \(group) K \(dim) window \(window ?? 0) "
                    + "sinks \(sinks) \(documents ?? [])"
            }

            static let all = [
                Case(tokens: 70, window: 1, sinks: 1),
                Case(batch: 2, tokens: 150, heads: 2, window: 9, sinks: 4),
                Case(tokens: 140, group: 3, dim: 64, window: 64, sinks: 4),
                Case(tokens: 30, keys: 80, group: 7, dim: 128, window: 9, sinks: 4),
                // Several tiles of sinks, and several blocks of them and of what they get.
                Case(tokens: 150, keys: 200, window: 33, sinks: 64),
                Case(tokens: 100, dim: 136, window: 9, sinks: 64),
                // Fewer queries than keys, some of whose documents no query is of.
                Case(tokens: 70, keys: 190, group: 3, dim: 20, window: 20, sinks: 9),
                Case(tokens: 90, keys: 140, window: 20, sinks: 4, documents: [0, 64, 70, 139]),
                // Wide tiles.
                Case(tokens: 60, keys: 460, group: 3, dim: 20, window: 280, sinks: 4),
                // Documents shorter than their sinks and than the window, and over several blocks.
                Case(tokens: 140, window: 5, sinks: 9, documents: [0, 3, 4, 63, 64, 130]),
                Case(tokens: 70, window: 1, sinks: 2, documents: Array(stride(from: 0, to: 70, by: 3))),
                // The second one's sinks lie in two blocks of keys, and it goes on for ten.
                Case(tokens: 700, window: 9, sinks: 4, documents: [0, 62, 690]),
                Case(tokens: 100, keys: 300, window: 20, sinks: 4, documents: [0, 62, 250]),
                // Sinks that are among what is seen anyhow.
                Case(tokens: 50, sinks: 4), Case(tokens: 50, window: 50, sinks: 4),
            ]
        }

        @Test(arguments: Case.all) func attention(_ test: Case) throws {
            let (keys, documents) = (test.keys ?? test.tokens, test.documents.map(Documents.init(_:)))
            try expectAgreement(
                test.testDescription,
                [
                    .activation(test.batch, test.tokens, test.heads * test.group, test.dim, scale: 2),
                    .activation(test.batch, keys, test.heads, test.dim, scale: 2),
                    .activation(test.batch, keys, test.heads, test.dim),
                ], tolerance: 0.02
            ) { [try $0[0].attention(k: $0[1], v: $0[2], scale: 0.3, span: test.span, documents: documents)] }
        }

        @Test(
            "sinks that no window reaches are seen with their own queries",
            arguments: [
                Case(batch: 2, tokens: 40, keys: 90, heads: 2, window: 9, sinks: 4),
                Case(tokens: 20, keys: 120, window: 9, sinks: 64),
                Case(tokens: 30, keys: 60, group: 3, dim: 20, window: 9, sinks: 9),
                Case(tokens: 30, keys: 60, group: 3, dim: 64, window: 9, sinks: 1),
                Case(tokens: 20, keys: 120, dim: 136, window: 20, sinks: 64),
                Case(tokens: 60, keys: 460, group: 3, dim: 20, window: 280, sinks: 4),
            ])
        func sinkQueries(_ test: Case) throws {
            var random = Random(5)
            let keys = test.keys ?? test.tokens
            func values(_ tokens: Int, _ heads: Int) throws -> Tensor {
                try random.tensor([test.batch, tokens, heads, test.dim])
            }
            let (q, far) = (
                try values(test.tokens, test.heads * test.group), try values(test.tokens, test.heads * test.group)
            )
            let (k, v) = (try values(keys, test.heads), try values(keys, test.heads))
            func run(_ device: Device, _ far: Tensor?) throws -> Tensor {
                let there = try [q, k, v, far].map { try $0?.converted(to: device.traits.precision.dtype).to(device) }
                return try #require(there[0]).attention(
                    k: #require(there[1]), v: #require(there[2]), scale: 0.4, span: test.span, sinkQueries: there[3])
            }
            let found = try run(.cuda, far)
            try expectClose(found, run(.cpu, far), 0.02, test.testDescription)
            #expect(try doubles(found) != doubles(run(.cuda, nil)))
        }
    }
}
