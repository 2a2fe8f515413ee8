import Tensors
import Testing

extension KernelTests {
    /// The operations of a step against those of whole sequences, which have oracles of their own.
    @Suite("Recorded steps") struct StepTests {
        /// What a step of two sequences makes of tokens 3 and 1, recorded by `body`, whose result it gives: (2, ·).
        private func step(_ body: (RecordedStep) throws -> RecordedStep.Rows) throws -> [Double] {
            let step = try RecordedStep(capacity: 3)
            let rows = try body(step)
            try step.run(tokens: [3, 1])
            return (0..<2).flatMap { step.withRow($0, of: rows) { $0.map(Double.init) } }
        }

        private static let ids: [Int32] = [3, 1]

        @Test("embeddings are scaled, and positions added")
        func embeddings() throws {
            var random = Random(81)
            for width in [1, 17, 64] {
                let table = try random.tensor([5, width]), positions = try random.tensor([7, width], .bfloat16)
                let expected = try Tensor.embedding(Self.ids, table: table).scaled(by: 3.5)
                    .adding(Tensor.embedding([6, 2], table: positions))
                try withEveryKernel { choice in
                    let found = try step {
                        let x = try $0.embedding(table, scale: 3.5)
                        let places = try $0.addEmbedding(positions, to: x)
                        try places.set(row: 0, place: 6)
                        try places.set(row: 1, place: 2)
                        #expect(throws: TensorError.self) { try places.set(row: 1, place: 7) }
                        return x
                    }
                    try expectClose(found, doubles(expected), 0x1p-21, "\(width) \(choice)")
                }
            }
        }

        @Test("calls between operations read what is before them and write for what is behind")
        func calls() throws {
            struct Stop: Error {}
            var random = Random(88)
            let table = try random.tensor([5, 24]), weight = try random.tensor([9, 24])
            let doubled = try Tensor.embedding(Self.ids, table: table).scaled(by: 2)
            let found = try step {
                let x = try $0.embedding(table)
                try $0.call { step, rows in
                    #expect(rows == 2)
                    for row in 0..<rows {
                        let half = try step.tensor(row, of: x, shape: [2, 12]).scaled(by: 2)
                        try step.write(half.rows(0..<1), to: x, row: row)
                        try step.write(half.rows(1..<2), to: x, row: row, from: 12)
                    }
                }
                return try $0.linear(x, weights: [weight], biases: [nil])[0]
            }
            try expectClose(found, doubles(doubled.linear(weight)), 0x1p-19, "called")
            #expect(throws: Stop.self) {
                try step {
                    try $0.call { _, _ in throw Stop() }
                    return try $0.embedding(table)
                }
            }
            for (row, start) in [(0, 1), (0, -1), (3, 0), (-1, 0)] {
                #expect(throws: TensorError.self) {
                    try step {
                        let x = try $0.embedding(table)
                        try $0.call { step, _ in try step.write(table.rows(0..<1), to: x, row: row, from: start) }
                        return x
                    }
                }
            }
        }

        @Test("norms of rows and of heads, alone and added", arguments: Normalisation.Kind.allCases)
        func norms(_ kind: Normalisation.Kind) throws {
            var random = Random(82)
            for (heads, dim) in [(1, 40), (3, 20), (2, 64)] {
                let table = try random.tensor([5, heads * dim], scale: 2)
                let norm = Normalisation(
                    kind, weight: try random.tensor([dim]), bias: kind == .layer ? try random.tensor([dim]) : nil,
                    epsilon: 1e-5)
                let x = try Tensor.embedding(Self.ids, table: table).reshaped([2, heads, dim])
                let expected = try x.normalised(norm)
                try withEveryKernel { choice in
                    let found = try step { try $0.norm($0.embedding(table), norm, readers: []) }
                    try expectClose(found, doubles(expected), 0x1p-21, "\(heads) × \(dim) \(choice)")
                    let sum = try step {
                        let x = try $0.embedding(table)
                        try $0.norm(x, norm, addedTo: x)
                        return x
                    }
                    try expectClose(sum, doubles(x.adding(expected)), 0x1p-21, "added, \(heads) × \(dim) \(choice)")
                }
            }
            let narrow = Normalisation(kind, weight: try random.tensor([3]), epsilon: 1e-5)
            let table = try random.tensor([5, 8])
            #expect(throws: TensorError.self) { try step { try $0.norm($0.embedding(table), narrow, readers: []) } }
        }

        @Test("MLPs with and without a gate", arguments: Activation.allCases, [DType.float32, .q8])
        func activations(_ activation: Activation, _ dtype: DType) throws {
            var random = Random(83)
            let (width, hidden) = (64, 96)
            func weight(_ outputs: Int, _ inputs: Int) throws -> Tensor {
                let weight = try random.tensor([outputs, inputs], scale: 0.3)
                return dtype == .q8 ? try weight.quantised(to: .q8).tensor : weight
            }
            let table = try random.tensor([5, width])
            let (gate, up, down) = try (weight(hidden, width), weight(hidden, width), weight(width, hidden))
            let (bias, other) = try (random.tensor([hidden]), random.tensor([width]))
            let norm = Normalisation(.rms, weight: try random.tensor([width]), epsilon: 1e-5)
            let x = try Tensor.embedding(Self.ids, table: table).normalised(norm)
            try withEveryKernel { choice in
                let inner = try x.linear([gate, up], biases: [bias, nil])
                let gated = try Tensor.gated(activation, gate: inner[0], up: inner[1]).linear(down)
                let plain = try inner[0].activated(activation).linear(down, bias: other)
                let foundGated = try step {
                    let x = try $0.norm($0.embedding(table), norm, readers: [gate])
                    let inner = try $0.gatedLinear(
                        x, gate: (gate, bias), up: (up, nil), activation: activation, readers: [down])
                    return try $0.linear(inner, weights: [down], biases: [nil])[0]
                }
                try expectClose(foundGated, doubles(gated), 2e-5, "gated \(choice)")
                let foundPlain = try step {
                    let x = try $0.norm($0.embedding(table), norm, readers: [gate])
                    let inner = try $0.activatedLinear(
                        x, weight: gate, bias: bias, activation: activation, readers: [down])
                    return try $0.linear(inner, weights: [down], biases: [other])[0]
                }
                try expectClose(foundPlain, doubles(plain), 2e-5, "without a gate \(choice)")
            }
        }

        @Test("logits, capped and not", arguments: [DType.float32, .bfloat16, .q8])
        func logits(_ dtype: DType) throws {
            var random = Random(84)
            let table = try random.tensor([5, 64], scale: 3), weight = try random.tensor([300, 64], scale: 0.5)
            let head = dtype == .q8 ? try weight.quantised(to: .q8).tensor : try weight.converted(to: dtype)
            let norm = Normalisation(.rms, weight: try random.tensor([64]), epsilon: 1e-5)
            let x = try Tensor.embedding(Self.ids, table: table).normalised(norm)
            for cap in [nil, Float(1.5)] {
                try withEveryKernel { choice in
                    let expected = try x.logits(head: head, cap: cap)
                    let found = try step {
                        try $0.logits($0.norm($0.embedding(table), norm, readers: [head]), head: head, cap: cap)
                    }
                    try expectClose(found, doubles(expected), 2e-5, "\(cap ?? 0) \(choice)")
                }
            }
        }

        @Test("attention over caches of every type, capped", arguments: CacheType.allCases)
        func attention(_ type: CacheType) throws {
            var random = Random(85)
            let (held, heads, group, dim) = (700, 2, 3, 16)
            let table = try random.tensor([5, heads * (group + 2) * dim], scale: 2)
            var (keys, values): ([HeldRows], [HeldRows]) = ([], [])
            for _ in 0..<2 {
                for isKeys in [true, false] {
                    var rows = try HeldRows(type, rows: held, heads: heads, dim: dim)
                    try rows.replace(at: 0, with: random.tensor([held, heads, dim], scale: 2))
                    if isKeys { keys.append(rows) } else { values.append(rows) }
                }
            }
            let all = try Tensor.embedding(Self.ids, table: table)
            for cap in [nil, Float(1.5)] {
                let step = try RecordedStep(capacity: 2)
                let widths = [heads * group * dim, heads * dim, heads * dim]
                let parts = try widths.indices.map { index -> RecordedStep.Rows in
                    let first = widths[..<index].reduce(0, +)
                    let part = try Tensor(
                        (0..<5).flatMap { row in
                            try table.array(Float.self)[(row * table.shape[1] + first)...].prefix(widths[index])
                        }, shape: [5, widths[index]])
                    return try step.embedding(part)
                }
                let (out, caches) = try step.attention(
                    .init(
                        q: parts[0], k: parts[1], v: parts[2], heads: heads * group, keyValueHeads: heads, scale: 0.4,
                        cap: cap, angles: nil, silu: false), most: nil)
                var (ownKeys, ownValues) = (keys, values)
                for row in 0..<2 {
                    try caches.bind(
                        keys: &ownKeys[row], values: &ownValues[row], place: held - 1, held: held, row: row)
                }
                try step.run(tokens: Self.ids)
                for row in 0..<2 {
                    let (k, v) = (try ownKeys[row].rows(0..<held), try ownValues[row].rows(0..<held))
                    let q = try all.rows(row..<row + 1).array(Float.self).prefix(widths[0])
                    let expected = try Oracle.attention(
                        q: Tensor(Array(q), shape: [1, 1, heads * group, dim]), k: k.reshaped([1, held, heads, dim]),
                        v: v.reshaped([1, held, heads, dim]), scale: 0.4, cap: cap)
                    expectClose(
                        step.withRow(row, of: out) { $0.map(Double.init) }, expected, 1e-5, "\(cap ?? 0), row \(row)")
                }
            }
        }
    }
}
