import Checkpoints
import Conversion
import Foundation
import Models
import Tensors
import TestSupport
import Testing
import Training

extension CUDATests {
    @Suite("Training of other families on a GPU") struct FamilyTrainingTests {
        /// A teacher like the fixture `name`, with the tokenizer of the training tests, and a conversion of it: two steps of
        /// aligning and of learning from the teacher and the text, the first by hand, the other recorded.
        private func configuration(_ name: String, in folder: TemporaryFolder) throws -> TrainingConfiguration {
            let (teacher, model) = ("\(folder.path)/teacher", "\(folder.path)/model")
            try FileManager.default.copyItem(atPath: TinyModels.source, toPath: teacher)
            try FileManager.default.removeItem(atPath: "\(teacher)/model.safetensors")
            try FamilyShape(name, vocabulary: 2003).write(to: teacher)
            var options = ConversionOptions()
            (options.slots, options.window, options.dtype) = (4, 6, .bfloat16)
            _ = try Converter(ModelFiles.open(teacher), options: options).run(output: model)
            let text = seededDocuments(12, seed: 3).map { "{\"text\": \"\($0.replacing("\n", with: " "))\"}\n" }
            var configuration = TrainingConfiguration()
            (configuration.model, configuration.teacher) = (model, teacher)
            configuration.data.train = [try folder.write("text.jsonl", text.joined())]
            configuration.data.cache = "\(folder.path)/tokens"
            configuration.data.validationShare = 0.1
            configuration.length = 24
            (configuration.validation.every, configuration.validation.rows) = (1000, 2)
            configuration.stages = try StageConfiguration.list("align=96,distil=96")
            configuration.stages[1].teacherShare = 0.5
            for index in configuration.stages.indices {
                configuration.stages[index].sequences = 2
                configuration.stages[index].schedule.warmUpSteps = 1
                configuration.stages[index].schedule.peak = 1e-3
            }
            return configuration
        }

        @Test("all stages have the losses and gradients of the processor", arguments: FamilyShape.names)
        func stages(_ name: String) throws {
            let folder = try TemporaryFolder(inMemory: true)
            let configuration = try configuration(name, in: folder)
            func steps(on device: Device) throws -> [TrainingEvent.Step] {
                let run = try RunFolder(path: "\(folder.path)/\(device)", model: configuration.model, resuming: false)
                var steps: [TrainingEvent.Step] = []
                try TrainingRun(configuration, folder: run, resuming: false, device: device) { _ in { _, _ in } }
                    .train { if case .step(let step) = $0 { steps.append(step) } }
                return steps
            }
            let (expected, found) = (try steps(on: .cpu), try steps(on: .cuda))
            #expect(expected.count == 4 && found.count == 4)
            for (found, expected) in zip(found, expected) {
                let (norm, other) = (found.gradientNorm ?? .nan, expected.gradientNorm ?? .nan)
                #expect(
                    abs(found.loss - expected.loss) <= 0.05 * expected.loss && abs(norm - other) <= 0.05 * other,
                    "step \(found.step): \(found.loss) and \(norm), expected \(expected.loss) and \(other)")
            }
        }
    }
}
