import Checkpoints
import Conversion
import Models
import Tensors
import Tokenizers

/// A student and its teacher, checked as a run's are, to select heads with.
public struct SelectionModels: Sendable {
    /// The model whose heads are selected.
    public let student: DecoderModel
    /// The Transformer that it was made from.
    public let teacher: DecoderModel

    /// - Throws: ``TrainingError`` when the folders are no student and teacher, or `CheckpointError` and `ModelError`.
    public init(student path: String, teacher teacherPath: String, tokenizer: Tokenizer, device: Device) throws {
        let files = try RunPlan.student(path), teacherFiles = try ModelFiles.open(teacherPath)
        let configuration = try ModelConfiguration(files.configuration)
        try HeadSelection.check(configuration)
        guard !configuration.convertedLayers.isEmpty else {
            throw TrainingError.run(
                path: path, expected: "a layer without softmax attention", found: "softmax attention in all layers")
        }
        _ = try TeacherCheck(
            student: files, teacher: teacherFiles, record: ModelRecord(of: files),
            stages: [StageConfiguration(.select, tokens: 1)]
        ).run(tokenizer: tokenizer)
        student = try DecoderModel.load(files).to(device)
        let type = try student.parameter(configuration.names.embedding).dtype
        teacher = try DecoderModel.load(teacherFiles, as: teacherFiles.kind == .gguf ? type : nil).to(device)
    }
}
