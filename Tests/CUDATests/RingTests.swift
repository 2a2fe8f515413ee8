import Tensors
import Testing

extension CUDATests {
    @Suite("Rings of keys and values on a GPU") struct RingTests {
        static let rows = 2, heads = 2, group = 2, dim = 16, length = 75
        /// Tokens that are read at once, in turn; steps of one token that are by the recorded form are negative.
        static let reads = [3, 1, -1, -2, 2, 20, 1, -4, 12, -5, 24]

        /// Queries, keys, values and other queries for the sinks, (R, S, ·, K), on the processor.
        struct Tokens {
            let q, k, v, far: Tensor

            init() throws {
                var random = Random(9)
                let (rows, heads, length, dim) = (RingTests.rows, RingTests.heads, RingTests.length, RingTests.dim)
                q = try random.tensor([rows, length, heads * RingTests.group, dim], scale: 2)
                k = try random.tensor([rows, length, heads, dim], scale: 2)
                v = try random.tensor([rows, length, heads, dim])
                far = try random.tensor([rows, length, heads * RingTests.group, dim], scale: 2)
            }
        }

        /// The tokens of a range, on the GPU.
        private func part(_ tensor: Tensor, _ range: Range<Int>) throws -> Tensor {
            let token = tensor.shape[2] * tensor.shape[3]
            let all = try tensor.array(Float.self)
            let values = (0..<tensor.shape[0]).flatMap { row -> ArraySlice<Float> in
                let begin = (row * tensor.shape[1] + range.lowerBound) * token
                return all[begin..<begin + range.count * token]
            }
            return try Tensor(values, shape: [tensor.shape[0], range.count] + tensor.shape[2...])
                .converted(to: .bfloat16).to(.cuda)
        }

        /// Reads all tokens as ``reads`` says and hands every result over with the positions that it is of.
        private func read(
            _ tokens: Tokens, span: AttentionSpan, growing: Bool, far: Bool = false, cap: Float? = nil,
            _ body: (Range<Int>, Tensor) throws -> Void
        ) throws {
            let most = span.window.map { $0 + span.sinks } ?? Self.length
            var ring = try KeyValueRing(
                rows: Self.rows, heads: Self.heads, dim: Self.dim, capacity: growing ? 1 : most, sinks: span.sinks,
                on: .cuda)
            var position = 0
            for read in Self.reads {
                for count in read < 0 ? Array(repeating: 1, count: -read) : [read] {
                    let range = position..<position + count
                    if growing, min(range.upperBound, most) > ring.capacity {
                        try ring.grow(to: min(range.upperBound, most), count: position)
                    }
                    let (q, k, v) = try (part(tokens.q, range), part(tokens.k, range), part(tokens.v, range))
                    let sinkQueries = far ? try part(tokens.far, range) : nil
                    let result =
                        read < 0
                        ? try ring.attend(
                            q: q, k: k, v: v, scale: 0.3, cap: cap, sinkQueries: sinkQueries,
                            positions: Tensor([Int32](repeating: Int32(position), count: Self.rows), shape: [Self.rows])
                                .to(.cuda))
                        : try ring.attend(
                            q: q, k: k, v: v, scale: 0.3, cap: cap, span: span, sinkQueries: sinkQueries,
                            position: position)
                    try body(range, result)
                    position += count
                }
            }
            #expect(position == Self.length && ring.capacity == most)
            #expect(ring.byteCount == 2 * 2 * Self.rows * Self.heads * most * Self.dim)
        }

        @Test("segments and steps are the whole", arguments: [0, 1, 4, 9], [false, true])
        func whole(sinks: Int, growing: Bool) throws {
            let tokens = try Tokens()
            for (window, cap) in [(1, nil), (9, nil), (20, nil), (nil, nil), (9, 2), (nil, Float(2))] {
                let span = AttentionSpan(window: window, sinks: sinks)
                let whole = try tokens.q.attention(k: tokens.k, v: tokens.v, scale: 0.3, cap: cap, span: span)
                try read(tokens, span: span, growing: growing, cap: cap) { range, result in
                    try expectClose(result, part(whole, range), 0.03, "window \(window ?? 0), sinks \(sinks), \(range)")
                }
            }
        }

        @Test("a step over a ring that several blocks read is the whole")
        func parts() throws {
            var random = Random(4)
            let (count, span) = (640, AttentionSpan(window: 600, sinks: 4))
            let (q, far) = (try random.tensor([1, 1, 3, 20], scale: 2), try random.tensor([1, 1, 3, 20], scale: 2))
            let (k, v) = (try random.tensor([1, count, 1, 20], scale: 2), try random.tensor([1, count, 1, 20]))
            let first = 0..<count - 1, last = count - 1..<count
            for sinkQueries in [nil, far] {
                var ring = try KeyValueRing(rows: 1, heads: 1, dim: 20, capacity: 604, sinks: 4, on: .cuda)
                let queries = try Tensor.zeros([1, count - 1, 3, 20], .bfloat16, on: .cuda)
                _ = try ring.attend(
                    q: queries, k: part(k, first), v: part(v, first), scale: 0.3, span: span, position: 0)
                let result = try ring.attend(
                    q: part(q, 0..<1), k: part(k, last), v: part(v, last), scale: 0.3,
                    sinkQueries: sinkQueries.map { try part($0, 0..<1) },
                    positions: Tensor([Int32(count - 1)], shape: [1]).to(.cuda))
                let expected = try q.attention(k: k, v: v, scale: 0.3, span: span, sinkQueries: sinkQueries)
                try expectClose(
                    result, expected, 0.03, sinkQueries == nil ? "the same queries" : "queries of their own")
            }
        }

        @Test("sinks out of the window's reach are seen with their own queries")
        func sinkQueries() throws {
            let (tokens, span) = (try Tokens(), AttentionSpan(window: 9, sinks: 4))
            try read(tokens, span: span, growing: true, far: true) { range, result in
                // Of a segment in which a sink is near for one query and far for another the queries are a caller's to choose.
                guard range.lowerBound >= 9 + 4 else { return }
                let expected = try part(tokens.q, range).to(.cpu).converted(to: .float32).attention(
                    k: part(tokens.k, 0..<range.upperBound).to(.cpu).converted(to: .float32),
                    v: part(tokens.v, 0..<range.upperBound).to(.cpu).converted(to: .float32), scale: 0.3, span: span,
                    sinkQueries: part(tokens.far, range).to(.cpu).converted(to: .float32))
                try expectClose(result, expected, 0.03, "\(range)")
            }
        }
    }
}
