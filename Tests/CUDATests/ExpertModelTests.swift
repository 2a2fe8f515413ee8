import Checkpoints
import Models
import Tensors
import TestSupport
import Testing
import Training

extension CUDATests {
    @Suite("Models with experts on a GPU") struct ExpertModelTests {
        private static let tokens: [[Int32]] = (0..<2).map { (row: Int) -> [Int32] in
            (0..<24).map { (place: Int) -> Int32 in Int32((place * 31 + row * 7) % 11 * 97) }
        }

        private func models(_ kind: ExpertModel) throws -> (cpu: DecoderModel, cuda: DecoderModel) {
            let (configuration, parameters) = try kind.parameters()
            let model = try DecoderModel(configuration, parameters: Parameters(parameters))
            return (model, try model.to(.cuda))
        }

        /// The middle one of the distances of rows, relative to the expected: where two experts are as likely, a row may take
        /// the other one.
        private func error(_ found: Tensor, _ expected: Tensor) throws -> Float {
            let width = expected.shape[expected.rank - 1]
            let pair = try (found.to(.cpu).converted(to: .float32).array(Float.self), expected.array(Float.self))
            let errors = stride(from: 0, to: pair.1.count, by: width).map { start -> Float in
                let range = start..<start + width
                let distance = range.reduce(Float(0)) { $0 + (pair.0[$1] - pair.1[$1]) * (pair.0[$1] - pair.1[$1]) }
                return (distance / range.reduce(Float(0)) { $0 + pair.1[$1] * pair.1[$1] }).squareRoot()
            }
            return errors.sorted()[errors.count / 2]
        }

        @Test("have the processor's hidden states", arguments: [ExpertModel.mixtral, .qwen])
        func hidden(_ kind: ExpertModel) throws {
            let (cpu, cuda) = try models(kind)
            #expect(try error(cuda.hidden(Self.tokens), cpu.hidden(Self.tokens)) < 0.03)
        }

        @Test("read on by recorded steps", arguments: [ExpertModel.mixtral, .qwen])
        func decoding(_ kind: ExpertModel) throws {
            let (cpu, cuda) = try models(kind)
            let vocabulary = cpu.configuration.decoder.vocabularySize
            let expected = try Self.tokens.map { try cpu.logits([$0]).reshaped([24, vocabulary]) }
            let step = try Together(cuda, reading: Self.tokens.map { Array($0.prefix(7)) })
            var errors: [Float] = []
            for position in 7..<20 {
                try step.read(Self.tokens.map { $0[position] })
                let logits = try step.logits()
                for (row, expected) in expected.enumerated() {
                    errors.append(
                        try error(logits.rows(row..<row + 1), expected.rows(position..<position + 1)))
                }
            }
            #expect(errors.sorted()[errors.count / 2] < 0.03)
        }

        @Test("have a gradient for every parameter, close to the processor's", arguments: [ExpertModel.mixtral, .qwen])
        func gradients(_ kind: ExpertModel) throws {
            let (configuration, parameters) = try kind.parameters()
            func gradients(on device: Device) throws -> [String: Tensor] {
                let tape = GradientTape()
                let watched = try parameters.mapValues { tape.watch(try $0.to(device)) }
                let hidden = try DecoderModel(configuration, parameters: Parameters(watched))
                    .hidden(Self.tokens.map { Array($0.dropLast()) })
                _ = try hidden.crossEntropy(
                    head: watched[configuration.names.embedding] ?? hidden,
                    targets: Self.tokens.flatMap { $0.dropFirst() }, scale: 1 / 46)
                try tape.playBack()
                return watched.compactMapValues { $0.variable?.gradient }
            }
            let (expected, found) = try (gradients(on: .cpu), gradients(on: .cuda))
            #expect(Set(expected.keys) == Set(parameters.keys) && Set(found.keys) == Set(parameters.keys))
            var (distance, size) = (Float(0), Float(0))
            for (name, gradient) in expected {
                let own = try #require(found[name]).to(.cpu).converted(to: .float32).array(Float.self)
                for (a, b) in zip(own, try gradient.array(Float.self)) {
                    distance += (a - b) * (a - b)
                    size += b * b
                }
            }
            #expect((distance / size).squareRoot() < 0.1)
        }

        @Test("are trained in all stages with losses close to the processor's, every time to the bit")
        func training() throws {
            let folder = try TinyModels(experts: .mixtral)
            let configuration = try folder.training(.window, "align=288,distil=288,finetune=288")
            func losses(_ name: String, _ device: Device) throws -> [Double] {
                let place = try RunFolder(path: "\(folder.path)/\(name)", model: configuration.model, resuming: false)
                var losses: [Double] = []
                try TrainingRun(configuration, folder: place, resuming: false, device: device) { _ in { _, _ in } }
                    .train { if case .step(let step) = $0 { losses.append(step.loss) } }
                return losses
            }
            let (expected, found) = try (losses("cpu", .cpu), losses("cuda", .cuda))
            #expect(expected.count == 9 && found.count == 9)
            for (own, other) in zip(found, expected) { #expect(abs(own - other) < 0.15 * other, "\(own), \(other)") }
            #expect(try losses("again", .cuda) == found)
        }
    }
}
