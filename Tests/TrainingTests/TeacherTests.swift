import Checkpoints
import Conversion
import Foundation
import Support
import Tensors
import TestSupport
import Testing
import Training

@Suite("A teacher must fit its student")
struct TeacherTests {
    private let run: TinyRun

    init() throws { run = try TinyRun("align=64,distil=32") }

    /// A copy of the teacher whose configuration and weights are changed.
    private func other(
        _ name: String, configuration: (inout JSONObject) -> Void = { _ in },
        weights: (String, [Float]) -> [Float] = { $1 }
    ) throws -> String {
        let (source, path) = (run.path("teacher"), run.path(name))
        try FileManager.default.copyItem(atPath: source, toPath: path)
        var json = try #require(try JSONValue(file: "\(source)/config.json").objectValue)
        configuration(&json)
        try run.folder.write("\(name)/config.json", JSONValue.object(json).text())
        let checkpoint = try SafetensorsCheckpoint(path: source)
        try FileManager.default.removeItem(atPath: "\(path)/model.safetensors")
        let writer = try SafetensorsWriter(
            directory: path, tensors: checkpoint.tensors.map { ($0.name, $0.shape, .float32) })
        for tensor in checkpoint.tensors {
            let values = try checkpoint.load(tensor.name, as: .float32).array(Float.self)
            try writer.append(try Tensor(weights(tensor.name, values), shape: tensor.shape))
        }
        try writer.finish()
        return path
    }

    /// Expects this error, and no folder of a run: the next try is not in the way of this one.
    private func expectRefusal(_ expected: String, location: SourceLocation = #_sourceLocation) throws {
        let error = #expect(throws: TrainingError.self, sourceLocation: location) { try run.train() }
        #expect(error?.description == expected, sourceLocation: location)
        #expect(!FileManager.default.fileExists(atPath: run.path("run")), sourceLocation: location)
    }

    @Test("it is not the student itself, nor another converted model")
    func converted() throws {
        run.configuration.teacher = run.path("model")
        try expectRefusal(
            "\(run.path("model")): expected a teacher with softmax attention in every layer: the Transformer that the model "
                + "was made from, found a converted model, 2 of its 2 layers 'gsa'")
    }

    @Test("it has the student's shape")
    func shapes() throws {
        let changes: [(key: String, value: JSONValue, expected: String)] = [
            ("head_dim", 4, "head dim 8, as the model has, found head dim 4"),
            ("num_attention_heads", 4, "heads 2, as the model has, found heads 4"),
            ("num_key_value_heads", 2, "key/value heads 1, as the model has, found key/value heads 2"),
            ("vocab_size", 2004, "vocabulary 2003, as the model has, found vocabulary 2004"),
            ("num_hidden_layers", 1, "layers 2, as the model has, found layers 1"),
            ("hidden_size", 32, "hidden size 16, as the model has, found hidden size 32"),
            ("intermediate_size", 32, "MLP width 24, as the model has, found MLP width 32"),
            (
                "rope_parameters", ["rope_type": "default", "rope_theta": 500_000],
                "the model's rotary positions, theta 10000, which stage align learns by, found theta 500000"
            ),
        ]
        for (key, value, expected) in changes {
            let teacher = try other(key) { $0[key] = value }
            run.configuration.teacher = teacher
            try expectRefusal("\(teacher): expected \(expected)")
        }
        run.configuration.teacher = run.path("teacher")
        #expect(try run.train().isComplete)
    }

    @Test("it has the student's tokenizer")
    func tokenizers() throws {
        let teacher = try other("teacher-2")
        run.configuration.teacher = teacher
        let text = try String(contentsOfFile: "\(teacher)/tokenizer.json", encoding: .utf8)
        // "The" is the first token of the sample.
        let (one, two) = (try id("The", in: text), try id("Th", in: text))
        let swapped = text.replacing("\"The\":\(one),", with: "\"The\":\(two),").replacing(
            "\"Th\":\(two),", with: "\"Th\":\(one),")
        try run.folder.write("teacher-2/tokenizer.json", swapped)
        try expectRefusal(
            "\(teacher): expected the model's tokenizer, found another, which gives a sample text other tokens from its "
                + "token 1 on")
        // Without one there is nothing to compare.
        try FileManager.default.removeItem(atPath: "\(teacher)/tokenizer.json")
        #expect(try run.train().isComplete)
    }

    private func id(_ token: String, in text: String) throws -> String {
        let start = try #require(text.firstRange(of: "\"\(token)\":")?.upperBound)
        return String(text[start...].prefix { $0.isNumber })
    }

    // MARK: Weights

    private func perturbed(_ name: String, by factor: Float) throws -> String {
        try other(name, weights: { $0.contains(".mlp.") ? $1.map { $0 * factor } : $1 })
    }

    @Test("its weights are the source's: not a word")
    func same() throws {
        let record = try run.train()
        #expect(record.warnings == [])
        #expect(try run.trained("run/student")?.teacher == .init(name: "teacher", difference: 0))
    }

    @Test("a relative of the source teaches with a word, and the card has it")
    func relative() throws {
        let teacher = try perturbed("tuned", by: 1.0625)
        run.configuration.teacher = teacher
        #expect(
            try run.train().warnings == [
                "\(teacher): its weights differ by 6.2% from those that the model was made from; that is right for a "
                    + "quantised or fine-tuned form of them"
            ])
        #expect(try run.trained("run/student")?.teacher == .init(name: "tuned", difference: 0.0625))
        let card = try String(contentsOfFile: run.path("run/student/README.md"), encoding: .utf8)
        #expect(card.contains("| teacher | tuned, whose weights differ from the source's by 6.2% |"), "\(card)")
    }

    @Test("a student that was trained before knows its source again")
    func trainedBefore() throws {
        run.eachStage { $0.schedule.peak = 0.1 }
        try run.train("first")
        run.configuration.model = run.path("first/student")
        #expect(try run.train("second").warnings == [])
        #expect(try ModelRecord(folder: run.path("second/student"))?.steps.count == 3)
    }

    @Test("another model of the same shape teaches its distributions alone")
    func another() throws {
        let teacher = try perturbed("another", by: -1)
        run.configuration.teacher = teacher
        try expectRefusal(
            "\(teacher): expected the Transformer that the model was made from, or a relative of it, for stage align, found "
                + "another model's weights: those of the MLPs differ by 200.0%")
        run.configuration.stages = try StageConfiguration.list("distil=32")
        #expect(try run.train().warnings.count == 1)
    }
}
