import Checkpoints
import Foundation
import Models
import Tensors
import Testing
import Training

extension CUDATests {
    /// On the processor each row is by itself; on a GPU two go side by side, with documents of their own.
    @Suite("Rows that carry the state on a GPU") struct CarriedTests {
        private static let (length, count, rows) = (70, 3, 2)
        private static let documents = [[0, 97, 98, 175], [0, 70, 201]]
        private static let tokens: [[Int32]] = (0..<rows).map { row in
            (0...length * count).map { (index: Int) in Int32((index * 31 + row * 7 + index / 5) % 97) }
        }

        /// The rows at a place of the long ones.
        private struct Piece {
            var inputs: [[Int32]] = []
            var targets: [[Int32]] = []
            /// Within each row.
            var documents: [[Int]] = []
            var before: [Int] = []
            let position: Int

            init(_ index: Int) {
                let first = index * length, end = first + length
                position = first
                for (tokens, starts) in zip(tokens, CarriedTests.documents) {
                    inputs.append(Array(tokens[first..<end]))
                    targets.append(Array(tokens[first + 1...end]))
                    let own = starts.filter { first..<end ~= $0 }.map { $0 - first }
                    documents.append(own.first == 0 ? own : [0] + own)
                    before.append(first - (starts.last { $0 <= first } ?? 0))
                }
            }

            var firstPositions: [Int32] {
                documents.flatMap { starts in
                    (0..<length).map { place in Int32(starts.last { $0 <= place } ?? 0) }
                }
            }
        }

        private static let pieces = (0..<count).map { Piece($0) }

        /// Final hidden states (2, T, D) of every piece in float32, and the gradients of the last one's summed loss.
        private func run(
            _ configuration: ModelConfiguration, _ parameters: [String: Tensor], on device: Device, recomputed: Int = 0
        ) throws -> (hidden: [Tensor], gradients: [String: Tensor]) {
            let tape = GradientTape()
            let watched = try parameters.mapValues { tape.watch(try $0.to(device)) }
            let model = try DecoderModel(configuration, parameters: Parameters(watched))
            // The rows that go through the model together.
            let parts = device == .cpu ? (0..<Self.rows).map { [$0] } : [Array(0..<Self.rows)]
            let carried = try parts.map {
                try model.makeCarriedRows(rows: $0.count, length: Self.length, count: Self.count)
            }
            var hidden: [[Float]] = []
            for (index, piece) in Self.pieces.enumerated() {
                var values: [Float] = []
                for (part, carried) in zip(parts, carried) {
                    let shape = [part.count, Self.length]
                    try carried.begin(before: part.map { piece.before[$0] }, position: piece.position)
                    let first = try Tensor(piece.firstPositions, shape: [Self.rows, Self.length])
                    let result = try model.hidden(
                        ids: Tensor(part.flatMap { piece.inputs[$0] }, shape: shape).to(device),
                        documents: device == .cpu
                            ? Documents(piece.documents[part[0]]) : Documents(firstPositions: first.to(device)),
                        recomputation: recomputed > 0 ? Recomputation(tape, layers: recomputed) : nil,
                        carried: carried)
                    values += try result.converted(to: .float32).array()
                    if index == Self.count - 1 {
                        _ = try result.crossEntropy(
                            head: model.headWeight, targets: part.flatMap { piece.targets[$0] }, scale: 1 / 140)
                        try tape.playBack()
                    } else {
                        tape.clear()
                    }
                    try carried.advance()
                }
                hidden.append(values)
            }
            let shape = [Self.rows, Self.length, configuration.decoder.hiddenSize]
            return (
                try hidden.map { try Tensor($0, shape: shape) }, watched.compactMapValues { $0.variable?.gradient }
            )
        }

        @Test("have the processor's hidden states and gradients", arguments: ModelTests.kinds)
        func models(_ kind: TinyModels.Kind?) throws {
            let folder = try TinyModels()
            let files = try ModelFiles.open(kind.map { try folder.converted($0) } ?? folder.teacher)
            let configuration = try ModelConfiguration(files.configuration)
            let rules = try DecoderModel.rules(configuration)
            let stored = try Parameters(rules, from: files.checkpoint)
            let parameters = try Dictionary(uniqueKeysWithValues: rules.map { ($0.name, try stored[$0.name]) })
            let expected = try run(configuration, parameters, on: .cpu)
            let found = try run(configuration, parameters, on: .cuda)
            for index in 0..<Self.count {
                try expectClose(found.hidden[index], expected.hidden[index], 0.02, "row \(index)")
            }
            #expect(Set(found.gradients.keys) == Set(parameters.keys))
            for (name, gradient) in expected.gradients {
                // The rounding of the rows before is in it too; a head's decay gets a sum over all tokens that nearly cancels.
                let tolerance = name.hasSuffix("self_attn.decay") ? 0.3 : 0.08
                try expectClose(#require(found.gradients[name]), gradient, tolerance, name)
            }
            let again = try run(configuration, parameters, on: .cuda, recomputed: 2)
            for (name, gradient) in again.gradients {
                #expect(try gradient.array(Float.self) == found.gradients[name]?.array(Float.self), "\(name)")
            }
        }

        @Test("stages have the losses of the processor, every time to the bit, stopped or not")
        func stages() throws {
            let folder = try TinyModels()
            let text = try folder.text(documents: 60)
            var configuration = TrainingConfiguration()
            (configuration.model, configuration.teacher) = (try folder.converted(.heads), folder.teacher)
            configuration.data.train = [text]
            configuration.data.cache = "\(folder.path)/tokens"
            (configuration.data.validationShare, configuration.validation.rows) = (0.1, 2)
            configuration.stages = try StageConfiguration.list("distil=288@24x3,finetune=256@16x4")
            for index in configuration.stages.indices {
                configuration.stages[index].sequences = 2
                (configuration.stages[index].schedule.warmUpSteps, configuration.stages[index].schedule.peak) = (
                    2, 3e-3
                )
            }
            let expected = try folder.train(configuration, "cpu", on: .cpu)
            let found = try folder.train(configuration, "cuda", on: .cuda)
            #expect(expected.count == 14)
            for (index, pair) in zip(found, expected).enumerated() {
                #expect(abs(pair.0 - pair.1) <= 0.05 * pair.1, "\(index): \(pair.0), expected \(pair.1)")
            }
            for stop in [2, 5, 10] {
                let name = "stopped\(stop)"
                let start = try folder.train(configuration, name, on: .cuda, stop: stop)
                let rest = try folder.train(configuration, name, on: .cuda, resuming: true)
                #expect(start + rest == found, "stopped after \(stop)")
                #expect(try folder.student(name) == folder.student("cuda"), "stopped after \(stop)")
            }
        }
    }
}
