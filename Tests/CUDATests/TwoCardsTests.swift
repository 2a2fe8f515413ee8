import Models
import Tensors
import Testing

extension CUDATests {
    @Suite("Two GPUs in one process") struct TwoCardsTests {
        static let cards = [Device.cuda, .cuda(1)]

        private func tensor(_ seed: UInt64, _ shape: [Int], on device: Device) throws -> Tensor {
            var random = Random(seed)
            return try random.tensor(shape).converted(to: .bfloat16).to(device)
        }

        @Test("compute the same, each in its own memory")
        func operations() throws {
            let results = try Self.cards.map { card in
                let x = try tensor(1, [5, 64], on: card), weight = try tensor(2, [24, 64], on: card)
                let result = try x.adding(x).activated(.silu).linear(weight)
                #expect(result.device == card)
                return try result.array(BFloat16.self)
            }
            #expect(results[0] == results[1])
            #expect(
                try Self.cards.map { try $0.backend.name } == ["cuda (emulated card 0)", "cuda:1 (emulated card 1)"])
        }

        @Test("copies go from one to the other")
        func copies() throws {
            let x = try Tensor([1, 2, 3] as [Float], shape: [3])
            let there = try x.to(.cuda).to(.cuda(1))
            #expect(there.device == .cuda(1))
            #expect(try there.array() == [1, 2, 3])
            #expect(try there.to(.cuda).to(.cpu).array() == [1, 2, 3])
        }

        @Test("a tensor of one is refused by operations on the other, and by those of the processor")
        func mixed() throws {
            let (x, y) = (try tensor(1, [4, 64], on: .cuda), try tensor(2, [4, 64], on: .cuda(1)))
            let weight = try tensor(3, [8, 64], on: .cuda(1))
            let expected = TensorError.devices(operation: "adding", expected: .cuda, found: .cuda(1))
            #expect(throws: expected) { try x.adding(y) }
            #expect(
                "\(expected)" == "adding: an argument is on cuda:1, expected all on cuda; move it there first")
            #expect(throws: TensorError.devices(operation: "linear", expected: .cuda, found: .cuda(1))) {
                try x.linear(weight)
            }
            let host = try Tensor.zeros([4, 64])
            #expect(throws: TensorError.devices(operation: "linear", expected: .cpu, found: .cuda(1))) {
                try host.linear(weight)
            }
            let ids = try Tensor([1] as [Int32], shape: [1]).to(.cuda)
            #expect(throws: TensorError.devices(operation: "embedding", expected: .cuda(1), found: .cuda)) {
                try Tensor.embedding(ids, table: weight)
            }
            var ring = try KeyValueRing(rows: 1, heads: 1, dim: 16, capacity: 4, on: .cuda(1))
            let heads = try tensor(4, [1, 1, 1, 16], on: .cuda)
            #expect(throws: TensorError.devices(operation: "attend", expected: .cuda(1), found: .cuda)) {
                try ring.attend(q: heads, k: heads, v: heads, scale: 1, span: AttentionSpan(), position: 0)
            }
        }

        @Test("one that is not there is refused, with those that are")
        func missing() throws {
            let reason = "there is no cuda:2; found cuda (emulated card 0), cuda:1 (emulated card 1)"
            #expect(throws: TensorError.device(reason)) { try Tensor.zeros([1], on: .cuda(2)) }
        }

        @Test("work that is recorded on one leaves the other to work")
        func recording() throws {
            let inputs = try Self.cards.map { try tensor(5, [2, 64], on: $0) }
            var sums: [Tensor] = []
            let graphs = try Self.cards.indices.map { card in
                try Self.cards[card].record {
                    sums.append(try inputs[card].adding(inputs[card]))
                    // Here and now, although work is recorded on the other.
                    let other = inputs[1 - card]
                    if card == 0 { #expect(try other.adding(other).array(BFloat16.self).count == 128) }
                }
            }
            for graph in graphs { try graph.run() }
            #expect(try sums[0].array(BFloat16.self) == sums[1].array(BFloat16.self))
            #expect(sums.map(\.device) == Self.cards)
        }

        @Test("run a model side by side with the same results, and neither takes the other's state")
        func models() throws {
            let model = try DecodingTests().model(.keptHeads)
            let models = try Self.cards.map { try model.to($0) }
            let tokens: [Int32] = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8]
            let states = try models.map { try $0.makeState() }
            let logits = try zip(models, states).map { try $0.nextLogits(tokens, state: $1).array() }
            #expect(logits[0] == logits[1])
            let steps = try zip(models, states).map { try Together($0, [$1]) }
            // In turns, beyond the first steps, which are recorded.
            for token: Int32 in [7, 9, 3, 2, 3, 8] {
                let found = try steps.map { step in
                    try step.read([token])
                    return try step.logits().array()
                }
                #expect(found[0] == found[1])
            }
            #expect(throws: TensorError.self) { try models[0].nextLogits(tokens, state: states[1]) }
        }
    }
}
