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

        static let kinds = [nil] + TinyModels.Kind.allCases.map { $0 }

        @Test("have the processor's hidden states", arguments: kinds)
        func hidden(_ kind: TinyModels.Kind?) throws { try comparison(kind).expectHiddenStates(length: 70) }

        @Test("have the processor's gradients, and the same bits when layers are computed again", arguments: kinds)
        func gradients(_ kind: TinyModels.Kind?) throws { try comparison(kind).expectGradients() }

        @Test("read on from a state, in pieces and by recorded steps", arguments: kinds)
        func decoding(_ kind: TinyModels.Kind?) throws { try comparison(kind).expectDecoding() }

        @Test("choose the likeliest tokens", arguments: [nil, TinyModels.Kind.window])
        func greedy(_ kind: TinyModels.Kind?) throws {
            let comparison = try comparison(kind)
            let (_, cuda) = try comparison.models()
            let prompt = comparison.tokens(2, 10)
            func first(_ state: DecoderState) throws -> [Int32] {
                try cuda.nextLogits(prompt, state: state).indicesOfLargest().array(Int32.self)
            }
            let state = try cuda.makeState(rows: 2)
            let start = try first(state)
            let generated = try DeviceStep(cuda, state: state).generate(12, after: start)
            // Token by token, the host choosing.
            let other = try cuda.makeState(rows: 2)
            var last = try first(other)
            let step = try DeviceStep(cuda, state: other)
            for index in 0..<12 {
                try step.read(last)
                last = try #require(step.logits).indicesOfLargest().array(Int32.self)
                #expect(last == generated.map { $0[index] })
            }
        }
    }
}
