import Tensors
import Testing

extension KernelTests {
    /// What a step computes of its tensors against the same operations done at once, which have oracles of their own.
    @Suite("Captured steps") struct StepTests {
        private static let ids: [Int32] = [3, 1]

        /// What a step of two of at most three sequences makes of tokens 3 and 1 of `table` (5, D), (3, 1, D), by `body`; and what
        /// `body` makes of them at once, (2, 1, D).
        private func both(
            _ table: Tensor, _ body: (Tensor) throws -> Tensor
        ) throws -> (found: [Double], expected: Tensor) {
            let step = try CapturedStep(capacity: 3)
            let ids = try step.input([3, 1], .int32)
            let result = try body(Tensor.embedding(ids, table: table).reshaped([3, 1, table.shape[1]]))
            for (row, id) in Self.ids.enumerated() { try step.update(ids, row: row) { $0[0] = id } }
            // The second run begins with what the first has left in the step's memory.
            for _ in 0..<2 { try step.run(rows: 2) }
            let found = try (0..<2).flatMap { try step.result(result).withRow($0) { $0.map(Double.init) } }
            return (found, try body(Tensor.embedding(Self.ids, table: table).reshaped([2, 1, table.shape[1]])))
        }

        private func expectSame(
            _ table: Tensor, _ tolerance: Double, _ label: String, _ body: (Tensor) throws -> Tensor
        ) throws {
            try withEveryKernel { choice in
                let (found, expected) = try both(table, body)
                try expectClose(found, doubles(expected), tolerance, "\(label) \(choice)")
            }
        }

        @Test("element by element: what is done in passing, by itself, twice, and with weights")
        func elements() throws {
            var random = Random(81)
            for width in [1, 17, 64] {
                let table = try random.tensor([5, width]), weight = try random.tensor([width])
                let other = try random.tensor([5, width])
                try expectSame(table, 0x1p-20, "width \(width)") { x in
                    let scaled = try x.scaled(by: 3.5)
                    let silu = try scaled.activated(.silu)
                    let gated = try Tensor.gated(.gelu, gate: silu, up: x)
                    let gates = try gated.adding(silu).logGate(divisor: 8)
                    let sum = try Tensor.pointwise(gates, weight, silu) { .exp($0) * $1 + $2 }
                    return try sum.l2Normed(epsilon: 1e-6).adding(x)
                }
                // What is not the step's is a constant of all its rows, or of each.
                try expectSame(table, 0x1p-20, "constants, width \(width)") { x in
                    let rows = try other.rows(0..<x.shape[0]).reshaped(x.shape)
                    return try Tensor.pointwise(rows, x) { $0 - $1 }.adding(rows)
                }
                try expectSame(table, 0x1p-19, "sums, width \(width)") { x in
                    try Tensor.pointwise(Tensor.pointwiseSums([x, weight]) { $0[0] * $0[1] }, x) { $0 * $1 }
                }
            }
        }

        @Test("rows of tables, and where they stand")
        func embeddings() throws {
            var random = Random(89)
            let table = try random.tensor([5, 24]), positions = try random.tensor([7, 24], .bfloat16)
            let step = try CapturedStep(capacity: 2)
            let (ids, places) = (try step.input([2, 1], .int32), try step.input([2], .int32))
            let x = try Tensor.embedding(ids, table: table).adding(Tensor.embedding(places, table: positions))
            try ids.overwrite(Self.ids)
            try places.overwrite([Int32(6), 2])
            try step.run(rows: 2)
            let expected = try Tensor.embedding(Self.ids, table: table)
                .adding(Tensor.embedding([6, 2], table: positions))
            let found = try (0..<2).flatMap { try step.result(x).withRow($0) { $0.map(Double.init) } }
            try expectClose(found, doubles(expected), 0, "positions")
        }

        @Test("norms of rows and of heads, alone and added", arguments: Normalisation.Kind.allCases)
        func norms(_ kind: Normalisation.Kind) throws {
            var random = Random(82)
            for (heads, dim) in [(1, 40), (3, 20), (2, 64)] {
                let table = try random.tensor([5, heads * dim], scale: 2)
                let norm = Normalisation(
                    kind, weight: try random.tensor([dim]), bias: kind == .layer ? try random.tensor([dim]) : nil,
                    epsilon: 1e-5)
                func normed(_ x: Tensor) throws -> Tensor {
                    try x.reshaped([x.shape[0], 1, heads, dim]).normalised(norm).reshaped(x.shape)
                }
                try expectSame(table, 0x1p-21, "\(heads) × \(dim)") { try normed($0) }
                try expectSame(table, 0x1p-21, "added, \(heads) × \(dim)") { try $0.adding(normed($0)) }
                try expectSame(table, 0x1p-20, "both, \(heads) × \(dim)") {
                    let own = try normed($0)
                    return try $0.adding(own).adding(own)
                }
            }
            let all = Normalisation(.rms, weight: try random.tensor([48]), epsilon: 1e-5)
            try expectSame(random.tensor([5, 48]), 0x1p-20, "after silu") { try $0.activated(.silu).normalised(all) }
            let narrow = Normalisation(kind, weight: try random.tensor([3]), epsilon: 1e-5)
            #expect(throws: TensorError.self) { try both(random.tensor([5, 8])) { try $0.normalised(narrow) } }
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
            try expectSame(table, 2e-5, "gated") { x in
                let normed = try x.normalised(norm)
                let inner =
                    try normed.fewRowsGated(after: nil, activation, gate: (gate, bias), up: (up, nil))
                    ?? Tensor.gated(activation, gate: normed.linear(gate, bias: bias), up: normed.linear(up))
                return try inner.linear(down, bias: nil, addedTo: x)
            }
            try expectSame(table, 2e-5, "without a gate") { x in
                let inner = try x.normalised(norm).linear(gate, bias: bias)
                return try inner.activated(activation).linear(down, bias: other).adding(x)
            }
            try expectSame(table, 2e-5, "eleven at once") { x in
                let all = try x.linear([Tensor](repeating: gate, count: 11))
                return try all.dropFirst().reduce(all[0]) { try $0.adding($1) }
            }
            try expectSame(table, 2e-5, "two at once, one activated") { x in
                let inner = try x.linear([gate, up], biases: [bias, nil])
                return try inner[0].activated(activation).adding(inner[1]).linear(down)
            }
        }

        @Test("logits, capped and not", arguments: [DType.float32, .bfloat16, .q8])
        func logits(_ dtype: DType) throws {
            var random = Random(84)
            let table = try random.tensor([5, 64], scale: 3), weight = try random.tensor([300, 64], scale: 0.5)
            let head = dtype == .q8 ? try weight.quantised(to: .q8).tensor : try weight.converted(to: dtype)
            let norm = Normalisation(.rms, weight: try random.tensor([64]), epsilon: 1e-5)
            for cap in [nil, Float(1.5)] {
                try expectSame(table, 2e-5, "\(cap ?? 0)") { try $0.normalised(norm).logits(head: head, cap: cap) }
            }
        }

        @Test("heads that are turned, picked and joined, and recurrences of them")
        func heads() throws {
            var random = Random(90)
            let (all, dim) = (4, 8), some = HeadSet([1, 3])
            let table = try random.tensor([5, 3 * all * dim]), angles = try random.tensor([3, dim / 2])
            func parts(_ x: Tensor) throws -> [Tensor] {
                // By products with parts of the identity, which a step has.
                try (0..<3).map { part in
                    var rows = [Float](repeating: 0, count: all * dim * 3 * all * dim)
                    for i in 0..<all * dim { rows[i * 3 * all * dim + part * all * dim + i] = 1 }
                    return try x.linear(Tensor(rows, shape: [all * dim, 3 * all * dim]))
                        .reshaped([x.shape[0], 1, all, dim])
                }
            }
            let step = try CapturedStep(capacity: 3)
            let (ids, cosines) = (try step.input([3, 1], .int32), try step.input([3, dim / 2]))
            let sines = try step.input([3, dim / 2])
            let state = try step.state(like: .zeros([1, 2, dim, dim]))
            func body(_ x: Tensor, _ cosines: Tensor, _ sines: Tensor, _ state: inout Tensor) throws -> Tensor {
                func turn(_ x: Tensor) throws -> Tensor {
                    try x.reshaped([1, x.shape[0], x.shape[2], dim]).rope(cosines: cosines, sines: sines, offset: 0)
                        .reshaped(x.shape)
                }
                let own = try parts(x).map { try $0.heads(some, of: all) }
                let (q, k) = (try turn(own[0]), try turn(own[1]).l2Normed(epsilon: 1e-6))
                let decays = try Tensor.pointwise(own[2]) { -.softplus($0) }
                let read = try Tensor.gatedLinear(q: q, k: k, v: own[2], logDecays: decays, scale: 0.5, state: &state)
                return try read.joined(with: parts(x)[0].heads(some.complement(of: all), of: all), as: some, of: all)
            }
            var place = consume state
            let result = try body(
                Tensor.embedding(ids, table: table).reshaped([3, 1, table.shape[1]]), cosines, sines, &place)
            var states = try (0..<2).map { try random.tensor([1, 2, dim, dim], scale: Float($0)) }
            var expected = try Tensor(states.flatMap { try $0.array(Float.self) }, shape: [2, 2, dim, dim])
            for (row, id) in Self.ids.enumerated() {
                try step.update(ids, row: row) { $0[0] = id }
                for (table, rows) in [(angles, cosines), (angles, sines)] {
                    let values = try table.rows(row..<row + 1).array(Float.self)
                    try step.update(rows, row: row) { (to: UnsafeMutableBufferPointer<Float>) in
                        _ = to.update(from: values)
                    }
                }
                try states[row].bind(to: place, row: row)
            }
            try step.run(rows: 2)
            let whole = try body(
                Tensor.embedding(Self.ids, table: table).reshaped([2, 1, table.shape[1]]), angles.rows(0..<2),
                angles.rows(0..<2), &expected)
            let found = try (0..<2).flatMap { try step.result(result).withRow($0) { $0.map(Double.init) } }
            try expectClose(found, doubles(whole), 1e-5, "outputs")
            try expectClose(states.flatMap { try doubles($0) }, doubles(expected), 1e-6, "states")
        }

        @Test("states that are made anew, convolutions and stretches are computed by the ordinary operations")
        func calls() throws {
            var random = Random(88)
            let table = try random.tensor([5, 24]), weight = try random.tensor([24, 4])
            let step = try CapturedStep(capacity: 3), ids = try step.input([3, 1], .int32)
            let place = try step.state(like: .zeros([1, 3, 24]))
            var (running, target) = (place, place)
            let x = try Tensor.embedding(ids, table: table).reshaped([3, 1, 24])
            let result = try x.shortConvolution(weight: weight, activation: .silu, state: &running)
                .stretch(from: 0, count: 1).scaled(by: 2)
            try target.take(running)
            var states = try (0..<2).map { _ in try random.tensor([1, 3, 24]) }
            for row in 0..<2 {
                try step.update(ids, row: row) { $0[0] = Self.ids[row] }
                var expected = states[row]
                let whole = try Tensor.embedding([Self.ids[row]], table: table).reshaped([1, 1, 24])
                    .shortConvolution(weight: weight, activation: .silu, state: &expected).scaled(by: 2)
                try states[row].bind(to: place, row: row)
                try step.run(rows: row + 1)
                try expectClose(
                    step.result(result).withRow(row) { $0.map(Double.init) }, doubles(whole), 1e-6, "row \(row)")
                // Of the first row the second run has read a token more.
                if row == 1 { try expectClose(doubles(states[row]), doubles(expected), 0, "state") }
            }
        }

        @Test func refusals() throws {
            let step = try CapturedStep(capacity: 2), x = try step.input([2, 1, 4])
            #expect(throws: TensorError.self) { try CapturedStep(capacity: 0) }
            #expect(throws: TensorError.self) { try step.input([3, 4]) }
            #expect(throws: TensorError.self) { try step.input([2, 4], .bfloat16) }
            #expect(throws: TensorError.self) { try step.run(rows: 3) }
            #expect(throws: TensorError.self) { try x.array(Float.self) }
            #expect(throws: TensorError.self) { try x.rows(0..<1).scaled(by: 2) }
            #expect(try step.result(x).withRow(2) { $0.isEmpty })
            #expect(throws: TensorError.self) { try step.result(.zeros([2, 4])) }
            let other = try CapturedStep(capacity: 2).input([2, 1, 4])
            #expect(throws: TensorError.self) { try x.adding(other) }
            var state = try Tensor.zeros([1, 3])
            #expect(throws: TensorError.self) { try state.bind(to: x, row: 0) }
            #expect(throws: TensorError.self) { try state.bind(to: step.state(like: .zeros([1, 4])), row: 0) }
            #expect(throws: TensorError.self) { try state.bind(to: step.state(like: .zeros([1, 3])), row: 2) }
            #expect(throws: TensorError.self) { try step.state(like: .zeros([2, 3])) }
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
                let step = try CapturedStep(capacity: 2)
                let ids = try step.input([2, 1], .int32)
                try ids.overwrite(Self.ids)
                let widths = [heads * group * dim, heads * dim, heads * dim]
                let parts = try widths.indices.map { index -> Tensor in
                    let first = widths[..<index].reduce(0, +)
                    let part = try Tensor(
                        (0..<5).flatMap { row in
                            try table.array(Float.self)[(row * table.shape[1] + first)...].prefix(widths[index])
                        }, shape: [5, widths[index]])
                    return try Tensor.embedding(ids, table: part).reshaped([2, 1, widths[index] / dim, dim])
                }
                let cache = try step.cache(keys: keys[0], values: values[0], most: nil)
                let out = try parts[0].attention(over: cache, k: parts[1], v: parts[2], scale: 0.4, cap: cap)
                var (ownKeys, ownValues) = (keys, values)
                for row in 0..<2 {
                    try cache.bind(
                        keys: &ownKeys[row], values: &ownValues[row], place: held - 1, held: held, row: row)
                }
                try step.run(rows: 2)
                for row in 0..<2 {
                    let (k, v) = (try ownKeys[row].rows(0..<held), try ownValues[row].rows(0..<held))
                    let q = try all.rows(row..<row + 1).array(Float.self).prefix(widths[0])
                    let expected = try Oracle.attention(
                        q: Tensor(Array(q), shape: [1, 1, heads * group, dim]), k: k.reshaped([1, held, heads, dim]),
                        v: v.reshaped([1, held, heads, dim]), scale: 0.4, cap: cap)
                    try expectClose(
                        step.result(out).withRow(row) { $0.map(Double.init) }, expected, 1e-5, "\(cap ?? 0), row \(row)"
                    )
                }
            }
        }
    }
}
