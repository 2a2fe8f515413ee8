import Checkpoints
import Models
import Tensors
import Testing

extension CUDATests {
    @Suite("Models on a GPU") struct ModelTests {
        private static func tokens(_ rows: Int, _ length: Int) -> [[Int32]] {
            (0..<rows).map { row in (0..<length).map { Int32(($0 * 31 + row * 7) % 11 * 97) } }
        }

        /// The Transformer, or a conversion of it.
        private func model(
            _ kind: TinyModels.Kind?
        ) throws -> (configuration: ModelConfiguration, parameters: [String: Tensor]) {
            let folder = try TinyModels()
            let files = try ModelFiles.open(kind.map { try folder.converted($0) } ?? folder.teacher)
            let configuration = try ModelConfiguration(files.configuration)
            let rules = try DecoderModel.rules(configuration)
            let parameters = try Parameters(rules, from: files.checkpoint)
            return (
                configuration, try Dictionary(uniqueKeysWithValues: rules.map { ($0.name, try parameters[$0.name]) })
            )
        }

        private func models(_ kind: TinyModels.Kind?) throws -> (cpu: DecoderModel, cuda: DecoderModel) {
            let (configuration, parameters) = try model(kind)
            let model = try DecoderModel(configuration, parameters: Parameters(parameters))
            return (model, try model.to(.cuda))
        }

        static let kinds = [nil] + TinyModels.Kind.allCases.map { $0 }

        @Test("have the processor's hidden states", arguments: kinds)
        func hidden(_ kind: TinyModels.Kind?) throws {
            let (cpu, cuda) = try models(kind)
            let tokens = Self.tokens(2, 70)
            try expectClose(cuda.hidden(tokens), cpu.hidden(tokens), 0.02, "rows")
            let documents: Documents = [0, 1, 30, 64]
            try expectClose(
                cuda.hidden([tokens[0]], documents: documents), cpu.hidden([tokens[0]], documents: documents), 0.02,
                "documents")
            let positions = [1, 20, 69]
            let losses = try [cpu, cuda].map { try $0.scores(of: positions, in: tokens[0]).map(\.loss) }
            try expectClose(Tensor(losses[1], shape: [3]), Tensor(losses[0], shape: [3]), 0.02, "scores")
        }

        /// Gradients of the mean loss of the next token, by parameter.
        private func gradients(
            _ configuration: ModelConfiguration, _ parameters: [String: Tensor], on device: Device, recomputed: Int = 0
        ) throws -> [String: Tensor] {
            let tape = GradientTape()
            let watched = try parameters.mapValues { tape.watch(try $0.to(device)) }
            let tokens = Self.tokens(2, 24)
            let hidden = try DecoderModel(configuration, parameters: Parameters(watched)).hidden(
                tokens.map { Array($0.dropLast()) },
                recomputation: recomputed > 0 ? Recomputation(tape, layers: recomputed) : nil)
            let names = configuration.names
            _ = try hidden.crossEntropy(
                head: watched[names.head] ?? watched[names.embedding] ?? hidden,
                targets: tokens.flatMap { $0.dropFirst() }, scale: 1 / 46)
            try tape.playBack()
            return watched.compactMapValues { $0.variable?.gradient }
        }

        @Test("have the processor's gradients, and the same bits when layers are computed again", arguments: kinds)
        func gradients(_ kind: TinyModels.Kind?) throws {
            let (configuration, parameters) = try model(kind)
            let expected = try gradients(configuration, parameters, on: .cpu)
            let found = try gradients(configuration, parameters, on: .cuda)
            #expect(Set(expected.keys) == Set(parameters.keys) && Set(found.keys) == Set(parameters.keys))
            for (name, gradient) in expected {
                try expectClose(#require(found[name]), gradient, 0.05, name)
            }
            for layers in 1...2 {
                let again = try gradients(configuration, parameters, on: .cuda, recomputed: layers)
                for (name, gradient) in again {
                    #expect(try gradient.array(Float.self) == found[name]?.array(Float.self), "\(layers) \(name)")
                }
            }
        }

        @Test("read on from a state, in pieces and by recorded steps", arguments: kinds)
        func decoding(_ kind: TinyModels.Kind?) throws {
            let (cpu, cuda) = try models(kind)
            let tokens = Self.tokens(2, 40)
            let expected = try tokens.map { row in
                try cpu.logits([row]).reshaped([40, cpu.configuration.decoder.vocabularySize])
            }
            let state = try cuda.makeState(rows: 2)
            func expectLogits(_ logits: Tensor, after count: Int) throws {
                for (row, expected) in expected.enumerated() {
                    try expectClose(
                        logits.rows(row..<row + 1), expected.rows(count - 1..<count), 0.03, "after \(count)")
                }
            }
            for (start, end) in [(0, 9), (9, 10), (10, 13)] {
                try expectLogits(cuda.nextLogits(tokens.map { Array($0[start..<end]) }, state: state), after: end)
            }
            let step = try DeviceStep(cuda, state: state)
            for position in 13..<30 {
                try step.read(tokens.map { $0[position] })
                try expectLogits(#require(step.logits), after: position + 1)
            }
            // A copy goes its own way.
            let fork = try DeviceStep(cuda, state: state.copy())
            try fork.read([3, 4])
            try step.read(tokens.map { $0[30] })
            try expectLogits(#require(step.logits), after: 31)
        }

        @Test("choose the likeliest tokens", arguments: [nil, TinyModels.Kind.window])
        func greedy(_ kind: TinyModels.Kind?) throws {
            let (_, cuda) = try models(kind)
            let prompt = Self.tokens(2, 10)
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
