import Models
import Tensors
import TestSupport
import Testing

extension CUDATests {
    /// Kernels at the widths, heads and vocabularies of published models, with as few rows as reach each path.
    @Suite("Real shapes on a GPU", .timeLimit(.minutes(5))) struct RealShapeTests {
        /// A head of each width, and the groups that are largest and odd there.
        static let heads: [ModelShape] = [.smolLM2Small, .tinyLlama, .qwen7B, .qwen72B, .gemma1B]

        /// One head of keys and values with its group.
        private func group(_ shape: ModelShape) -> Int { shape.heads / shape.keyValueHeads }

        @Test("softmax attention and its gradients", arguments: heads)
        func attention(_ shape: ModelShape) throws {
            let (group, dim) = (group(shape), shape.headDim)
            for (tokens, keys) in [(3, 7), (17, 70)] {
                try expectAgreement(
                    "\(shape), \(tokens) of \(keys)",
                    [.activation(1, tokens, group, dim), .activation(1, keys, 1, dim), .activation(1, keys, 1, dim)],
                    tolerance: 0.02
                ) { [try $0[0].attention(k: $0[1], v: $0[2], scale: 1 / Float(dim).squareRoot())] }
            }
        }

        @Test("gated slot attention and its gradients", arguments: heads)
        func slots(_ shape: ModelShape) throws {
            let (group, dim) = (group(shape), shape.headDim)
            for tokens in [2, 18] {
                try expectAgreement(
                    "\(shape), \(tokens) tokens",
                    [
                        .activation(1, tokens, group, dim), .activation(1, tokens, 1, dim),
                        .activation(1, tokens, 1, dim), .gates(1, tokens, 1, 64),
                    ], tolerance: 0.03
                ) {
                    [
                        try Tensor.gatedSlotAttention(
                            q: $0[0], k: $0[1], v: $0[2], logGates: $0[3], scale: 1 / Float(dim).squareRoot())
                    ]
                }
            }
        }

        /// One layer of one head of keys and values, narrow elsewhere: a token at a time and a graph of it are the prompt.
        @Test("steps", arguments: heads, ModelShape.Mixer.allCases)
        func steps(_ shape: ModelShape, _ mixer: ModelShape.Mixer) throws {
            let small = ModelShape(
                shape.name, hidden: 64, mlp: 64, heads: group(shape), keyValueHeads: 1, headDim: shape.headDim,
                vocabulary: 72)
            let window = mixer == .slots ? 300 : 4096
            let host = try small.model(mixer, window: window, slots: 64)
            let device = try host.to(.cuda)
            let tokens = (0..<12).map { Int32($0 * 31 % 72) }
            let expected = try host.logits([tokens])
            let state = try device.makeState()
            let step = try Together(device, [state])
            _ = try device.nextLogits([Array(tokens[..<7])], state: state)
            for place in 7..<12 {
                try step.read([tokens[place]])
                try expectClose(
                    step.logits(),
                    expected.reshaped([12, 72]).rows(place..<place + 1), 0.1, "\(shape), \(mixer), token \(place)")
            }
            // A window of 4096 tokens does not take their memory for 12.
            if mixer == .attention { #expect(state.byteCount == 64 * 2 * 2 * shape.headDim) }
        }

        @Test("norms, activations and products of every width", arguments: ModelShape.widths)
        func rows(_ dim: Int) throws {
            // No model is normed over more than its hidden size, of which 8192 is the most.
            if dim <= 8192 {
                try expectAgreement("norm", [.activation(2, dim, scale: 3), .parameter(dim)]) {
                    [try $0[0].rmsNorm(weight: $0[1], epsilon: 1e-5)]
                }
                try expectAgreement("layer norm", [.activation(2, dim, scale: 3), .parameter(dim), .parameter(dim)]) {
                    [try $0[0].layerNorm(weight: $0[1], bias: $0[2], epsilon: 1e-5)]
                }
            }
            for activation in Activation.allCases {
                try expectAgreement("gated \(activation)", [.activation(2, dim), .activation(2, dim)]) {
                    [try Tensor.gated(activation, gate: $0[0], up: $0[1])]
                }
            }
            try expectAgreement("product", [.activation(2, dim), .weight(9, dim)], tolerance: 0.02) {
                [try $0[0].linear($0[1])]
            }
        }

        @Test("norms and embeddings of rows that no block is wide enough for are refused")
        func tooWide() throws {
            let x = try Tensor.zeros([1, 8200], .bfloat16, on: .cuda), weight = try Tensor.zeros([8200], on: .cuda)
            let error = #expect(throws: TensorError.self) { try x.rmsNorm(weight: weight, epsilon: 1e-5) }
            #expect(error.map { "\($0)" }?.contains("up to 8192 columns") == true)
        }

        @Test("losses and choices", arguments: [151_936, 262_144])
        func vocabulary(_ outputs: Int) throws {
            let targets = [Int32(outputs - 1), 3]
            try expectAgreement(
                "cross-entropy", [.activation(2, 8), .weight(outputs, 8)], tolerance: 0.02
            ) {
                let ids = try Tensor(targets, shape: [2]).to($0[0].device)
                return [try $0[0].crossEntropy(head: $0[1], targets: ids, scale: 8)]
            }
            try expectAgreement("embedding", [.weight(outputs, 8)]) { [try Tensor.embedding(targets, table: $0[0])] }
            var logits = [Float](repeating: 0, count: 2 * outputs)
            (logits[outputs - 1], logits[outputs + outputs / 2]) = (1, 1)
            let ids = try Tensor(logits, shape: [2, outputs]).to(.cuda).indicesOfLargest()
            #expect(try ids.array(Int32.self) == [Int32(outputs - 1), Int32(outputs / 2)])
        }
    }
}
