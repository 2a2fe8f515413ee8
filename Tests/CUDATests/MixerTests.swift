import Tensors
import Testing

extension CUDATests {
    @Suite("Mixers on a GPU and their gradients") struct MixerTests {
        private func attention(
            _ batch: Int, _ tokens: Int, _ keys: Int, heads: Int, group: Int, dim: Int, window: Int? = nil,
            sinks: Int = 0, cap: Float? = nil, documents: Documents? = nil
        ) throws {
            try expectAgreement(
                "T \(tokens) S \(keys) N \(heads) G \(group) K \(dim) window \(window ?? 0) sinks \(sinks) cap \(cap ?? 0)",
                [
                    .activation(batch, tokens, heads * group, dim, scale: 2),
                    .activation(batch, keys, heads, dim, scale: 2),
                    .activation(batch, keys, heads, dim),
                ], tolerance: 0.02
            ) {
                [
                    try $0[0].attention(
                        k: $0[1], v: $0[2], scale: 0.3, cap: cap, span: AttentionSpan(window: window, sinks: sinks),
                        documents: documents)
                ]
            }
        }

        @Test func attention() throws {
            try attention(2, 1, 1, heads: 2, group: 2, dim: 16)
            try attention(2, 70, 70, heads: 2, group: 2, dim: 16)
            try attention(1, 5, 75, heads: 2, group: 2, dim: 16)
            try attention(1, 67, 67, heads: 1, group: 3, dim: 20)
            try attention(1, 130, 130, heads: 1, group: 1, dim: 80)
            try attention(1, 40, 40, heads: 1, group: 2, dim: 136)
        }

        @Test func windows() throws {
            for window in [1, 9, 64] { try attention(2, 70, 90, heads: 1, group: 2, dim: 16, window: window) }
            try attention(1, 60, 60, heads: 1, group: 3, dim: 20, window: 17)
            try attention(1, 60, 300, heads: 1, group: 3, dim: 20, window: 280)
        }

        @Test("scores with a cap")
        func caps() throws {
            try attention(2, 70, 70, heads: 2, group: 2, dim: 16, cap: 2)
            try attention(1, 5, 75, heads: 2, group: 2, dim: 16, cap: 50)
            try attention(1, 67, 67, heads: 1, group: 3, dim: 20, cap: 1)
            try attention(1, 20, 30, heads: 1, group: 2, dim: 256, cap: 20)
            try attention(2, 70, 90, heads: 1, group: 2, dim: 16, window: 9, cap: 2)
            try attention(1, 140, 140, heads: 1, group: 2, dim: 16, cap: 2, documents: [0, 3, 4, 63, 64, 130])
            // Sinks of several blocks of keys.
            try attention(1, 150, 200, heads: 1, group: 2, dim: 16, window: 33, sinks: 4, cap: 2)
            try attention(
                1, 140, 140, heads: 1, group: 2, dim: 16, window: 5, sinks: 9, cap: 1,
                documents: [0, 3, 4, 63, 64, 130])
        }

        @Test func documents() throws {
            try attention(1, 140, 140, heads: 1, group: 2, dim: 16, documents: [0, 3, 4, 63, 64, 130])
            try attention(1, 70, 140, heads: 1, group: 2, dim: 16, window: 20, documents: [0, 64, 72, 139])
        }

        /// Sizes of a case: K, V, M and the query heads of each group are among those that the emulator has kernels for.
        struct Slots: Sendable, CustomTestStringConvertible {
            var batch = 1
            var tokens: Int
            var heads = 1
            var group = 2
            var keyDim = 16
            var valueDim = 16
            var slots = 4
            var documents: [Int]?
            var testDescription: String {
                "B \(batch) T \(tokens) N \(heads) G \(group) K \(keyDim) V \(valueDim) M \(slots) \(documents ?? [])"
            }

            var operands: [Operand] {
                [
                    .activation(batch, tokens, heads * group, keyDim, scale: 2),
                    .activation(batch, tokens, heads, keyDim),
                    .activation(batch, tokens, heads, valueDim), .gates(batch, tokens, heads, slots),
                ]
            }

            static let all = [
                Slots(tokens: 1), Slots(batch: 2, tokens: 64, heads: 2), Slots(batch: 2, tokens: 150, heads: 2),
                Slots(tokens: 140, documents: [0, 3, 4, 63, 64, 130]), Slots(tokens: 140, documents: [0, 70]),
                Slots(batch: 2, tokens: 75, group: 3, valueDim: 32, slots: 20),
                // Wide heads, alone and in groups; chunks of 64, 64, 32, 32 and 16 tokens.
                Slots(tokens: 66, group: 4, keyDim: 128, valueDim: 128, slots: 64),
                Slots(tokens: 70, group: 1, keyDim: 256, valueDim: 256, slots: 64),
                Slots(tokens: 34, group: 2, keyDim: 256, valueDim: 256, slots: 64),
                Slots(tokens: 34, group: 1, keyDim: 256, valueDim: 256, slots: 128),
                Slots(tokens: 18, group: 2, keyDim: 256, valueDim: 256, slots: 128),
            ]
        }

        @Test(arguments: Slots.all) func gatedSlots(_ sizes: Slots) throws {
            let documents = sizes.documents.map(Documents.init(_:))
            try expectAgreement("\(sizes)", sizes.operands, tolerance: 0.03) {
                [
                    try Tensor.gatedSlotAttention(
                        q: $0[0], k: $0[1], v: $0[2], logGates: $0[3], scale: 0.25, documents: documents)
                ]
            }
        }

        /// Qwen 2.5's scores go beyond a thousand, and gates that are trained may close altogether.
        @Test("closed gates and scores of thousands give numbers", arguments: [1, 100] as [Float], [1, 40] as [Float])
        func extremes(keys: Float, gates: Float) throws {
            let operands: [Operand] = [
                .activation(1, 140, 2, 16, scale: keys), .activation(1, 140, 1, 16, scale: keys),
                .activation(1, 140, 1, 16), .gates(1, 140, 1, 4, scale: gates),
            ]
            let results = try run(operands, on: .cuda) {
                [
                    try Tensor.gatedSlotAttention(
                        q: $0[0], k: $0[1], v: $0[2], logGates: $0[3], scale: 0.25, documents: nil),
                    try $0[0].attention(
                        k: $0[1], v: $0[2], scale: 0.25, span: AttentionSpan(window: 20, sinks: 4), documents: nil),
                ]
            }
            for (name, tensor) in results {
                let unfit = try doubles(tensor).count { !$0.isFinite }
                #expect(unfit == 0, "\(name), keys \(keys), gates \(gates)")
            }
        }

        @Test("states go in and come out, and so do their gradients", arguments: Slots.all.prefix(6))
        func states(_ sizes: Slots) throws {
            let documents = sizes.documents.map(Documents.init(_:))
            let states: [Operand] = [
                .parameter(sizes.batch, sizes.heads, sizes.slots, sizes.keyDim),
                .parameter(sizes.batch, sizes.heads, sizes.slots, sizes.valueDim),
            ]
            try expectAgreement("\(sizes)", sizes.operands + states, tolerance: 0.03) {
                var state = GatedSlotState(keys: $0[4], values: $0[5])
                let output = try Tensor.gatedSlotAttention(
                    q: $0[0], k: $0[1], v: $0[2], logGates: $0[3], scale: 0.25, state: &state, documents: documents)
                return [output, state.keys, state.values]
            }
        }

        @Test("rows side by side with documents of their own are packed rows")
        func firstPositions() throws {
            var random = Random(3)
            let (rows, length) = (2, 70)
            func activation(_ heads: Int) throws -> Tensor {
                try random.tensor([1, rows * length, heads, 16]).converted(to: .bfloat16)
            }
            let (q, k, v) = (try activation(2), try activation(1), try activation(1))
            let gates = try Tensor((0..<rows * length * 4).map { -Float($0 % 7) / 8 }, shape: [1, rows * length, 1, 4])
            let first =
                [Int32](repeating: 0, count: 30) + [Int32](repeating: 30, count: 40)
                + [Int32](repeating: 0, count: length)
            func run(_ shape: [Int], _ documents: Documents) throws -> [[Float]] {
                let (q, k, v) = try (
                    q.to(.cuda).reshaped(shape + [2, 16]), k.to(.cuda).reshaped(shape + [1, 16]),
                    v.to(.cuda).reshaped(shape + [1, 16])
                )
                let slots = try Tensor.gatedSlotAttention(
                    q: q, k: k, v: v, logGates: gates.to(.cuda).reshaped(shape + [1, 4]), scale: 0.25,
                    documents: documents)
                let attention = try q.attention(k: k, v: v, scale: 0.25, documents: documents)
                let sinks = try q.attention(
                    k: k, v: v, scale: 0.25, span: AttentionSpan(window: 9, sinks: 4), documents: documents)
                return try [slots, attention, sinks].map { try $0.converted(to: .float32).array() }
            }
            let sideBySide = try run(
                [rows, length], Documents(firstPositions: Tensor(first, shape: [rows, length]).to(.cuda)))
            let packed = try run([1, rows * length], [0, 30, 70])
            for (found, expected) in zip(sideBySide, packed) {
                try expectClose(
                    Tensor(found, shape: [found.count]), Tensor(expected, shape: [expected.count]), 0.02, "rows")
            }
        }

        @Test("shapes that no kernel takes are refused")
        func refusals() throws {
            let heads = try Tensor.zeros([1, 2, 1, 264], .bfloat16, on: .cuda)
            #expect(throws: TensorError.self) { try heads.attention(k: heads, v: heads, scale: 1) }
            let narrow = try Tensor.zeros([1, 2, 1, 8], .bfloat16, on: .cuda)
            let gates = try Tensor.zeros([1, 2, 1, 4], on: .cuda)
            #expect(throws: TensorError.self) {
                try Tensor.gatedSlotAttention(q: narrow, k: narrow, v: narrow, logGates: gates, scale: 1)
            }
        }
    }
}
