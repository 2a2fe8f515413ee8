import Checkpoints
import Conversion
import Foundation
import Models
import Tensors
import TestSupport
import Testing
import Training

/// A converted model of 35,000 parameters, its teacher and a text, and runs of it in folders of their own.
final class TinyRun {
    let folder: TemporaryFolder
    var configuration = TrainingConfiguration()

    /// - Parameters:
    ///   - dtype: of the student; the teacher's weights are exact in bfloat16.
    ///   - family: the name of the fixture of a source family that the teacher is like, instead of Llama.
    ///   - mixer: of the student.
    ///   - experts: the teacher's, of another form than the fixture's; nil for that.
    init(
        _ stages: String, dtype: DType = .float32, family: String? = nil, experts: ExpertModel? = nil,
        mixer: String = GatedSlotAttention.name
    ) throws {
        folder = try TemporaryFolder(inMemory: true)
        let teacher = "\(folder.path)/teacher"
        try FileManager.default.copyItem(atPath: Fixtures.path("teacher"), toPath: teacher)
        if let family {
            try FileManager.default.removeItem(atPath: "\(teacher)/model.safetensors")
            try FamilyShape(family, vocabulary: 2003).write(to: teacher)
        }
        if let experts {
            try FileManager.default.removeItem(atPath: "\(teacher)/model.safetensors")
            try experts.write(to: teacher)
        }
        var options = ConversionOptions()
        (options.mixer, options.window, options.dtype) = (mixer, 4, dtype)
        options.slots = mixer == GatedSlotAttention.name ? 4 : nil
        _ = try Converter(ModelFiles.open(teacher), options: options).run(output: "\(folder.path)/model")
        let text = seededDocuments(12, seed: 3).map { "{\"text\": \"\($0.replacing("\n", with: " "))\"}\n" }.joined()
        configuration.data.train = [try folder.write("text.jsonl", text)]
        configuration.data.cache = "\(folder.path)/tokens"
        configuration.data.validationShare = 0.1
        (configuration.model, configuration.teacher) = ("\(folder.path)/model", teacher)
        configuration.length = 16
        (configuration.validation.every, configuration.validation.rows) = (1000, 4)
        configuration.stages = try StageConfiguration.list(stages)
        for index in configuration.stages.indices { configuration.stages[index].schedule.warmUpSteps = 2 }
    }

    /// Changes the settings of every stage.
    func eachStage(_ change: (inout StageConfiguration) -> Void) {
        for index in configuration.stages.indices { change(&configuration.stages[index]) }
    }

    func path(_ name: String) -> String { "\(folder.path)/\(name)" }

    /// What a run told.
    struct Record {
        var events: [TrainingEvent] = []

        var steps: [TrainingEvent.Step] {
            events.compactMap { if case .step(let step) = $0 { step } else { nil } }
        }
        var losses: [Double] { steps.map(\.loss) }
        var measurements: [TrainingEvent.Measurement] {
            events.compactMap { if case .measured(let measurement) = $0 { measurement } else { nil } }
        }
        var warnings: [String] { events.compactMap { if case .warning(let text) = $0 { text } else { nil } } }
        var saved: [Int] { events.compactMap { if case .saved(let step, _) = $0 { step } else { nil } } }
        var isComplete: Bool { if case .ended(true)? = events.last { true } else { false } }
    }

    struct Stop: Error {}

    /// Trains into the folder `name`.
    /// - Parameter stop: the index of the event at which to stop.
    @discardableResult
    func train(_ name: String = "run", resuming: Bool = false, stop: Int? = nil) throws -> Record {
        let output = path(name)
        let settings = resuming ? try RunFolder.configuration(output) : configuration
        let run = try TrainingRun(
            settings, folder: RunFolder(path: output, model: settings.model, resuming: resuming), resuming: resuming
        ) { _ in { _, _ in } }
        var record = Record()
        do {
            try run.train { event in
                record.events.append(event)
                if record.events.count - 1 == stop { throw Stop() }
            }
        } catch is Stop {}
        return record
    }

    /// The parameters of a model that was written, in float32.
    func parameters(_ name: String) throws -> [String: Tensor] {
        let checkpoint = try SafetensorsCheckpoint(path: path(name))
        return try Dictionary(
            uniqueKeysWithValues: checkpoint.tensors.map { ($0.name, try checkpoint.load($0.name, as: .float32)) })
    }

    /// The names of the parameters that differ between two models.
    func changed(_ name: String, from other: String = "model") throws -> Set<String> {
        let (before, after) = (try parameters(other), try parameters(name))
        #expect(Set(before.keys) == Set(after.keys))
        return try Set(after.filter { try before[$0.key]?.array(Float.self) != $0.value.array(Float.self) }.keys)
    }

    func bytes(_ name: String) throws -> Data { try Data(contentsOf: URL(fileURLWithPath: path(name))) }
}
