import Checkpoints
import Conversion
import Foundation
import Models
import Support
import Text
import Tokenizers

/// What a configuration asks for, opened and checked as far as that takes no time: whatever is wrong is said before a folder
/// is made or anything computed.
struct RunPlan {
    let student: ModelFiles
    let tokenizer: Tokenizer
    /// Nil when no stage needs one.
    let teacher: ModelFiles?
    let sources: DataSources
    let card: StudentCard
    /// What may be meant, and may be a mistake.
    let warnings: [String]

    /// The files of text whose names are kept.
    private static let namedFiles = 20

    init(_ configuration: TrainingConfiguration) throws {
        try configuration.validate()
        let student = try Self.student(configuration.model)
        let model = try ModelConfiguration(student.configuration)
        _ = try TrainingPhase.list(configuration, of: model)
        guard let tokenizer = try Tokenizer.load(student) else {
            throw TrainingError.run(path: configuration.model, expected: "a tokenizer.json", found: "none")
        }
        self.tokenizer = tokenizer
        self.student = student
        let record = try ModelRecord(of: student)
        let needsTeacher = configuration.stages.contains { $0.kind != .finetune }
        let teacher = try needsTeacher ? configuration.teacher.map { try ModelFiles.open($0) } : nil
        self.teacher = teacher
        let difference = try teacher.flatMap {
            try TeacherCheck(student: student, teacher: $0, record: record, stages: configuration.stages)
                .run(tokenizer: tokenizer)
        }
        warnings =
            student.remarks + (teacher?.remarks ?? [])
            + Self.warnings(teacher?.path, difference) + Self.warnings(configuration)
        sources = try configuration.sources()
        let texts = sources.trainedNames
        let training = ModelRecord.Training(
            moult: Moult.version, text: Array(texts.prefix(Self.namedFiles)), textFiles: texts.count,
            heldText: Array(sources.heldNames.prefix(Self.namedFiles)), heldShare: sources.share,
            rowLength: configuration.length, recallShare: configuration.data.recall,
            teacher: teacher.map(ModelSource.init).map {
                .init(name: $0.repository ?? $0.name, difference: difference)
            })
        card = StudentCard(record: record, configuration: model, training: training)
    }

    var teacherName: String { teacher.map { ModelSource($0).name } ?? "" }

    /// The model at `path`, if it can be trained.
    static func student(_ path: String) throws -> ModelFiles {
        let files = try ModelFiles.open(path)
        let type = files.configuration.modelType
        func refusal(_ found: String) -> TrainingError {
            .run(path: path, expected: "a model that 'moult convert' wrote", found: found)
        }
        guard files.kind == .folder, type == "moult" || !files.family.isTransformer else {
            throw refusal(
                "a Transformer (\(files.kind == .gguf ? "a .gguf file" : type)); convert it first: "
                    + "moult convert \(ShellWord.quoted(path)) --output student")
        }
        if let tensor = files.checkpoint.tensors.first(where: { $0.format.dtype?.isQuantised ?? false }) {
            throw refusal(
                "a quantised one ('\(tensor.name)' is \(tensor.format.rawValue)); train a model before it is quantised")
        }
        return files
    }

    private static func warnings(_ teacher: String?, _ difference: Double?) -> [String] {
        guard let teacher, let difference, difference > WeightSamples.roundingLimit else { return [] }
        return [
            "\(teacher): its weights differ by \(WeightSamples.percent(difference)) from those that the model was made from; "
                + "that is right for a quantised or fine-tuned form of them"
        ]
    }
}

extension RunPlan {
    private static func warnings(_ configuration: TrainingConfiguration) -> [String] {
        guard configuration.data.answerWeight != 1, configuration.data.recall == 0 else { return [] }
        return ["data.answerWeight: there are no answers to weigh without recall rows; see data.recall"]
    }
}

extension TrainingConfiguration {
    /// The text, looked up.
    fileprivate func sources() throws -> DataSources {
        var options = DataOptions()
        (options.textKey, options.separator, options.onError) = (data.textKey, data.separator, data.onError)
        options.maximumLineBytes = data.maximumLineBytes
        return try DataSources(
            data.train.map { try DataSource(parsing: $0) },
            validation: data.validation.isEmpty
                ? .share(data.validationShare) : .sources(data.validation.map { try DataSource(parsing: $0) }),
            length: length, recall: data.recall, options: options)
    }
}
