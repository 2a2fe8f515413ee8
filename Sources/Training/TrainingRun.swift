import Checkpoints
import Foundation
import Models
import Tensors
import Tokenizers

/// A run from its configuration: reads the models, prepares the data, and trains into a folder.
public final class TrainingRun {
    private let trainer: Trainer
    private let resuming: Bool
    private let folder: RunFolder
    private let hold: RunHold
    private let student: ModelConfiguration
    private let teacher: (name: String, model: DecoderModel)?
    private var watch: (TrainingEvent) throws -> Void = { _ in }

    /// Steps of the whole run.
    public var totalSteps: Int { trainer.totalSteps }

    /// - Parameter progress: asked once for every long preparation, with its name, for a function that gets what is done
    ///   and in all; throwing there stops.
    public init(
        _ configuration: TrainingConfiguration, folder: RunFolder, resuming: Bool, device: Device = .cpu,
        progress: (String) -> (Int, Int) throws -> Void
    ) throws {
        try configuration.validate()
        (self.resuming, self.folder) = (resuming, folder)
        let files = try ModelFiles.open(configuration.model)
        guard files.kind != .gguf else {
            throw TrainingError.run(
                path: configuration.model, expected: "a folder that 'moult convert' wrote", found: "a .gguf file")
        }
        let student = try TrainableModel(files, as: nil, device: device)
        guard let tokenizer = try Tokenizer.load(files) else {
            throw TrainingError.run(path: configuration.model, expected: "a tokenizer.json", found: "none")
        }
        let teacherFiles = try Self.teacherFiles(configuration)
        let teacher = try teacherFiles.map { try Self.teacher($0, of: student) }
        self.student = student.configuration
        self.teacher = teacher.map { (URL(fileURLWithPath: configuration.teacher ?? "").lastPathComponent, $0) }
        let origin = try files.contentHash() + (teacherFiles?.contentHash() ?? "")
        var report: (TrainingEvent) throws -> Void = { _ in }
        hold = try RunHold(folder, resuming: resuming)
        do {
            let data = try Self.data(configuration, tokenizer: tokenizer, folder: folder, progress: progress)
            trainer = try Trainer(
                configuration, student: student, teacher: teacher, data: data, folder: folder, origin: origin,
                report: { try report($0) })
            if !resuming { try folder.write(configuration) }
        } catch {
            hold.discard()
            throw error
        }
        report = { [unowned self] in try watch($0) }
    }

    /// Trains to the end, or until `watch` throws, which it may at any event; what happens is recorded in the folder.
    public func train(_ watch: @escaping (TrainingEvent) throws -> Void) throws {
        self.watch = watch
        if resuming { try trainer.resume() }
        let recorder = try recorder()
        self.watch = {
            try recorder.record($0)
            try watch($0)
        }
        // What a run records ends with the run; the recorder's files are closed then.
        defer { self.watch = watch }
        do { try trainer.run() } catch let error as TrainingError {
            recorder.failed(error)
            throw error
        }
    }

    private func recorder() throws -> RunRecorder {
        let measured = try teacher.flatMap { trainer.held.isEmpty ? nil : try trainer.held.measure($0.model) }
        let start = trainer.start(
            teacher: teacher.map { .init(name: $0.name, perplexity: measured.map { exp($0.loss) }) }, resuming: resuming
        )
        let memory = MetricsEvent.Memory(
            teacher: try teacher?.model.configuration.stateCost(), student: try student.stateCost())
        return try RunRecorder(
            folder, start: start, memory: memory, layers: student.decoder.layerCount, teacher: measured)
    }

    private static func data(
        _ configuration: TrainingConfiguration, tokenizer: Tokenizer, folder: RunFolder,
        progress: (String) -> (Int, Int) throws -> Void
    ) throws -> TokenDataset {
        let held = configuration.data.validation
        var options = DataOptions()
        (options.textKey, options.separator) = (configuration.data.textKey, configuration.data.separator)
        options.onError = configuration.data.onError
        return try TokenDataset(
            sources: configuration.data.train.map { try DataSource(parsing: $0) },
            validation: held.isEmpty
                ? .share(configuration.data.validationShare) : .sources(held.map { try DataSource(parsing: $0) }),
            tokenizer: tokenizer, length: configuration.length, seed: UInt64(configuration.seed),
            cache: configuration.data.cache ?? folder.tokenFolder, options: options, progress: progress("tokenising"))
    }

    /// The teacher's files, when a stage needs it.
    private static func teacherFiles(_ configuration: TrainingConfiguration) throws -> ModelFiles? {
        guard let path = configuration.teacher, configuration.stages.contains(where: { $0.kind != .finetune }) else {
            return nil
        }
        return try ModelFiles.open(path)
    }

    private static func teacher(_ files: ModelFiles, of student: TrainableModel) throws -> DecoderModel {
        // Products in bfloat16 are what the student trains with; float32 where that is what it has.
        let teacher = try DecoderModel.load(files, as: files.kind == .gguf ? student.weightType : nil)
        let (own, other) = (student.configuration.decoder, teacher.configuration.decoder)
        let same =
            own.layerCount == other.layerCount && own.hiddenSize == other.hiddenSize
            && own.vocabularySize == other.vocabularySize
        guard same else {
            throw TrainingError.teacher(
                path: files.path,
                expected: "the Transformer that the model was made from: \(own.layerCount) layers of width "
                    + "\(own.hiddenSize), \(own.vocabularySize) tokens",
                found: "\(other.layerCount) layers of width \(other.hiddenSize), \(other.vocabularySize) tokens")
        }
        return try teacher.to(student.device)
    }
}

extension ModelFiles {
    /// A hash of the configuration and of the files with weights, whatever their names.
    fileprivate func contentHash() throws -> String {
        let json = JSONValue.object(configuration.json).text()
        let weights = try Set(checkpoint.tensors.map(\.file)).sorted().map { path in
            let file = try MappedFile(path: path)
            return withExtendedLifetime(file) { XXHash64.text(file.bytes) }
        }
        return XXHash64.text(Data((json + weights.joined()).utf8))
    }
}
