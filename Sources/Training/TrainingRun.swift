import Checkpoints
import Models
import Tensors
import Tokenizers

/// A run from its configuration: reads the models, prepares the data, and trains into a folder.
public final class TrainingRun {
    private let trainer: Trainer
    private var watch: (TrainingEvent) throws -> Void = { _ in }

    /// Steps of the whole run.
    public var totalSteps: Int { trainer.totalSteps }

    /// - Parameter progress: asked once for every long preparation, with its name, for a function that gets what is done
    ///   and in all; throwing there stops.
    public init(
        _ configuration: TrainingConfiguration, folder: RunFolder, resuming: Bool,
        progress: (String) -> (Int, Int) throws -> Void
    ) throws {
        try configuration.validate()
        let files = try ModelFiles.open(configuration.model)
        guard files.kind != .gguf else {
            throw TrainingError.run(
                path: configuration.model, expected: "a folder that 'moult convert' wrote", found: "a .gguf file")
        }
        let student = try TrainableModel(files, as: nil)
        guard let tokenizer = try Tokenizer.load(files) else {
            throw TrainingError.run(path: configuration.model, expected: "a tokenizer.json", found: "none")
        }
        let teacher = try Self.teacher(configuration, of: student)
        let held = configuration.data.validation
        var options = DataOptions()
        (options.textKey, options.separator) = (configuration.data.textKey, configuration.data.separator)
        options.onError = configuration.data.onError
        let data = try TokenDataset(
            sources: configuration.data.train.map { try DataSource(parsing: $0) },
            validation: held.isEmpty
                ? .share(configuration.data.validationShare) : .sources(held.map { try DataSource(parsing: $0) }),
            tokenizer: tokenizer, length: configuration.length, seed: UInt64(configuration.seed),
            cache: configuration.data.cache ?? "\(folder.path)/tokens", options: options,
            progress: progress("tokenising"))
        var report: (TrainingEvent) throws -> Void = { _ in }
        trainer = try Trainer(
            configuration, student: student, teacher: teacher, data: data, folder: folder, report: { try report($0) })
        if resuming { try trainer.resume() } else { try folder.write(configuration) }
        report = { [unowned self] in try watch($0) }
    }

    /// Trains to the end, or until `watch` throws, which it may at any event.
    public func train(_ watch: @escaping (TrainingEvent) throws -> Void) throws {
        self.watch = watch
        try trainer.run()
    }

    private static func teacher(_ configuration: TrainingConfiguration, of student: TrainableModel) throws
        -> DecoderModel?
    {
        guard let path = configuration.teacher, configuration.stages.contains(where: { $0.kind != .finetune }) else {
            return nil
        }
        // Products in bfloat16 are what the student trains with; float32 where that is what it has.
        let files = try ModelFiles.open(path)
        let teacher = try DecoderModel.load(files, as: files.kind == .gguf ? student.weightType : nil)
        let (own, other) = (student.configuration.decoder, teacher.configuration.decoder)
        let same =
            own.layerCount == other.layerCount && own.hiddenSize == other.hiddenSize
            && own.vocabularySize == other.vocabularySize
        guard same else {
            throw TrainingError.teacher(
                path: path,
                expected: "the Transformer that the model was made from: \(own.layerCount) layers of width "
                    + "\(own.hiddenSize), \(own.vocabularySize) tokens",
                found: "\(other.layerCount) layers of width \(other.hiddenSize), \(other.vocabularySize) tokens")
        }
        return teacher
    }
}
