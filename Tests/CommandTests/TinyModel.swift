import Foundation
import TestSupport

/// A folder with a tiny Transformer that has a tokenizer, a model that was converted from it, and a text: what commands need
/// to run in a tenth of a second.
struct TinyModel {
    let folder: TemporaryFolder
    let path: String
    let teacher: String
    let text: String

    init() throws {
        folder = try TemporaryFolder()
        path = folder.path
        teacher = "\(path)/teacher"
        try FileManager.default.copyItem(
            atPath: "\(packageRoot)/Tests/TrainingTests/Fixtures/teacher", toPath: teacher)
        text = try folder.write("text.txt", (0..<400).map { "The fox \($0 * $0 % 97) jumps over the dog.\n" }.joined())
    }

    /// The converted model, in the folder "model".
    func converted() throws -> String {
        let model = "\(path)/model"
        let result = try MoultProcess("convert", teacher, "--output", model, "--slots", "4", "--window", "4", "--json")
        guard result.status == 0 else { throw CocoaError(.fileNoSuchFile) }
        return model
    }

    /// The arguments of a run of `model` into the folder `output` that takes some seconds, with a checkpoint every 5 steps.
    func longRun(_ model: String, _ output: String) throws -> [String] {
        let settings = try write(
            "long.yaml",
            """
            checkpoints: {every: 5, keep: 2}
            validation: {every: 50, rows: 4}
            stages:
              - {stage: align, tokens: 3200, sequences: 1, accumulation: 2, warm_up_steps: 5}
              - {stage: finetune, tokens: 3200, sequences: 1, accumulation: 2, warm_up_steps: 5}
            """)
        return [
            "train", model, "--teacher", teacher, "--data", text, "--config", settings, "--length", "16", "--output",
            "\(path)/\(output)",
        ]
    }

    @discardableResult
    func write(_ name: String, _ text: String) throws -> String { try folder.write(name, text) }

    func text(_ name: String) -> String? { try? String(contentsOfFile: "\(path)/\(name)", encoding: .utf8) }
    func bytes(_ name: String) throws -> Data { try Data(contentsOf: URL(fileURLWithPath: "\(path)/\(name)")) }
    func exists(_ name: String) -> Bool { FileManager.default.fileExists(atPath: "\(path)/\(name)") }

    /// What is in a folder and its subfolders, hidden files too.
    func contents(_ name: String) -> [String] {
        ((try? FileManager.default.subpathsOfDirectory(atPath: "\(path)/\(name)")) ?? []).sorted()
    }
}
