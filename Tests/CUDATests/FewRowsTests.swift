import Tensors
import Testing

extension CUDATests {
    /// What is done in one launch is what the operations give one by one on the processor.
    @Suite("Operations of few rows on a GPU") struct FewRowsTests {
        private func half(_ tensor: Tensor) throws -> Tensor { try tensor.converted(to: .bfloat16).to(.cuda) }

        @Test("linear maps after a norm, gates, and sums", arguments: [1, 2, 3, 4], [8, 264, 576])
        func products(_ rows: Int, _ inputs: Int) throws {
            var random = Random(UInt64(rows * 1000 + inputs))
            let x = try random.tensor([rows, 1, inputs], scale: 3), scale = 1 / Float(inputs).squareRoot()
            let weights = try [40, 3, 16, 3, 8, 24, 5].map { try random.tensor([$0, inputs], scale: 2 * scale) }
            let biases = try weights.enumerated().map { $0 % 2 == 0 ? try random.tensor([$1.shape[0]]) : nil }
            let (norm, sum) = (try random.tensor([inputs]), try random.tensor([rows, 1, 40], scale: 3))
            let rms = Normalisation(.rms, weight: norm, epsilon: 1e-5)
            let (own, there) = (try half(x), try weights.map(half))
            let biasesThere = try biases.map { try $0?.to(.cuda) }
            for norm in [nil, rms] {
                let normed = try norm.map { try x.normalised($0) } ?? x
                let normThere = try norm.map {
                    Normalisation(.rms, weight: try $0.weight.to(.cuda), epsilon: $0.epsilon)
                }
                let expected = try normed.linear(weights, biases: biases)
                let found = try #require(try own.fewRowsLinear(after: normThere, there, biases: biasesThere))
                for (found, expected) in zip(found, expected) {
                    try expectClose(found, expected, 0.01, "\(rows) of \(inputs), norm \(norm != nil)")
                }
                for activation in Activation.allCases {
                    let expected = try Tensor.gated(
                        activation, gate: normed.linear([weights[1]], biases: [biases[1]])[0],
                        up: normed.linear([weights[3]], biases: [biases[0].map { try $0.rows(0..<3) }])[0])
                    let gated = try own.fewRowsGated(
                        after: normThere, activation, gate: (there[1], biasesThere[1]),
                        up: (there[3], biasesThere[0].map { try $0.rows(0..<3) }))
                    try expectClose(#require(gated), expected, 0.01, "\(activation)")
                }
            }
            try expectClose(
                own.linear(there[0], bias: biasesThere[0], addedTo: half(sum)),
                sum.adding(x.linear([weights[0]], biases: [biases[0]])[0]), 0.01, "a sum")
        }

        @Test("what does not serve is left to the operations") func others() throws {
            var random = Random(5)
            let weight = try half(random.tensor([16, 24])), norm = try random.tensor([24]).to(.cuda)
            let five = try half(random.tensor([5, 24])), one = try half(random.tensor([1, 24]))
            #expect(try five.fewRowsLinear(after: nil, [weight], biases: [nil]) == nil)
            let layer = Normalisation(.layer, weight: norm, bias: norm, epsilon: 1e-5)
            #expect(try one.fewRowsLinear(after: layer, [weight], biases: [nil]) == nil)
            #expect(try one.fewRowsGated(after: nil, .silu, gate: (weight, nil), up: (weight, norm)) == nil)
            #expect(throws: TensorError.self) { try one.linear(weight, bias: nil, addedTo: one) }
        }

        @Test("queries and keys turn together as each by itself") func rope() throws {
            var random = Random(6)
            for (rows, tokens, heads, keys, dim) in [(1, 1, 3, 1, 16), (2, 5, 4, 2, 20), (3, 1, 9, 3, 64)] {
                let (q, k) = try (
                    half(random.tensor([rows, tokens, heads, dim])), half(random.tensor([rows, tokens, keys, dim]))
                )
                let cosines = try random.tensor([tokens + 2, dim / 2]).to(.cuda)
                let sines = try random.tensor([tokens + 2, dim / 2]).to(.cuda)
                let both = try Tensor.rope(q: q, k: k, cosines: cosines, sines: sines, offset: 1)
                for (x, found) in [(q, both.q), (k, both.k)] {
                    let expected = try x.rope(cosines: cosines, sines: sines, offset: 1)
                    #expect(try found.array(BFloat16.self) == expected.array(BFloat16.self))
                }
            }
        }

        @Test("a token of Gated Slot Attention makes its log gates itself") func slots() throws {
            var random = Random(7)
            let (rows, heads, group, dim, slots) = (3, 2, 2, 16, 4)
            let q = try random.tensor([rows, 1, heads * group, dim]), k = try random.tensor([rows, 1, heads, dim])
            let v = try random.tensor([rows, 1, heads, dim])
            let gates = try random.tensor([rows, 1, heads * slots], scale: 6)
            let keys = try random.tensor([rows, heads, slots, dim]),
                values = try random.tensor([rows, heads, slots, dim])
            var own = GatedSlotState(keys: keys, values: values)
            var there = GatedSlotState(keys: try keys.to(.cuda), values: try values.to(.cuda))
            let expected = try Tensor.gatedSlotAttention(
                q: q, k: k, v: v, gates: gates, divisor: 8, scale: 0.3, state: &own)
            let found = try Tensor.gatedSlotAttention(
                q: half(q), k: half(k), v: half(v), gates: half(gates), divisor: 8, scale: 0.3, state: &there)
            try expectClose(found, expected, 0.01, "outputs")
            try expectClose(there.keys, own.keys, 1e-5, "keys")
            try expectClose(there.values, own.values, 1e-5, "values")
        }

        @Test("a step of attention mixes its heads", arguments: [1, 600]) func mixture(_ capacity: Int) throws {
            var random = Random(8)
            let q = try half(random.tensor([2, 1, 4, 16])), k = try half(random.tensor([2, 1, 2, 16]))
            let v = try half(random.tensor([2, 1, 2, 16])), other = try half(random.tensor([2, 1, 4, 16]))
            let logits = try half(random.tensor([2, 1, 4], scale: 2))
            func attend(_ mixture: HeadMixture?) throws -> Tensor {
                var ring = try KeyValueRing(rows: 2, heads: 2, dim: 16, capacity: capacity, on: .cuda)
                let positions = try Tensor([Int32(0), 300], shape: [2]).to(.cuda)
                return try ring.attend(q: q, k: k, v: v, scale: 0.3, positions: positions, mixture: mixture)
            }
            let mixture = HeadMixture(other, logits: logits)
            try expectClose(attend(mixture), mixture(attend(nil)).to(.cpu).converted(to: .float32), 0.01, "mixed")
            #expect(throws: TensorError.self) { try attend(HeadMixture(k, logits: logits)) }
        }
    }
}
