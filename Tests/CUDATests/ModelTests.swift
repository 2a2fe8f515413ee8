import Checkpoints
import Models
import Tensors
import Testing

extension CUDATests {
    @Suite("Models on a GPU") struct ModelTests {
        /// The Transformer, or a conversion of it.
        private func comparison(_ kind: TinyModels.Kind?) throws -> ModelComparison {
            let folder = try TinyModels()
            return try ModelComparison(kind.map { try folder.converted($0) } ?? folder.teacher)
        }

        static let kinds =
            [nil] + TinyModels.Kind.allCases.filter { !TinyModels.Kind.published.contains($0) }.map { $0 }

        @Test("have the processor's hidden states", arguments: kinds)
        func hidden(_ kind: TinyModels.Kind?) throws { try comparison(kind).expectHiddenStates(length: 70) }

        @Test("have the processor's gradients, and the same bits when layers are computed again", arguments: kinds)
        func gradients(_ kind: TinyModels.Kind?) throws { try comparison(kind).expectGradients() }

        @Test("keep as much for the way back as is planned for", arguments: kinds)
        func activations(_ kind: TinyModels.Kind?) throws { try comparison(kind).expectActivations() }

        @Test("read on from a state, in pieces and by recorded steps", arguments: kinds)
        func decoding(_ kind: TinyModels.Kind?) throws { try comparison(kind).expectDecoding() }

        @Test("choose the likeliest tokens", arguments: [nil, TinyModels.Kind.window])
        func greedy(_ kind: TinyModels.Kind?) throws {
            let comparison = try comparison(kind)
            let (_, cuda) = try comparison.models()
            let prompt = comparison.tokens(2, 10)
            let start = try cuda.nextLogits(prompt, state: cuda.makeState(rows: 2)).indicesOfLargest().array(Int32.self)
            let generated = try Together(cuda, reading: prompt).generate(12, after: start)
            // Token by token, the host choosing.
            let other = try Together(cuda, reading: prompt)
            var last = start
            for index in 0..<12 {
                try other.read(last)
                last = try other.logits().indicesOfLargest().array(Int32.self)
                #expect(last == generated.map { $0[index] })
            }
        }
    }
}
