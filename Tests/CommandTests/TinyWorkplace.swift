import Foundation
import TestSupport
import Testing

/// A folder with a tiny Transformer, what it was converted to, and a text.
struct TinyWorkplace {
    let folder: TemporaryFolder
    let teacher: String
    let model: String
    let text: String
    var path: String { folder.path }

    init() throws {
        folder = try TemporaryFolder()
        (teacher, model) = ("\(folder.path)/teacher", "\(folder.path)/model")
        try FileManager.default.copyItem(
            atPath: "\(packageRoot)/Tests/TrainingTests/Fixtures/teacher", toPath: teacher)
        let result = try MoultProcess("convert", teacher, "--output", model, "--slots", "4", "--window", "4")
        #expect(result.status == 0, "\(result.error)")
        text = try folder.write(
            "text.txt", (0..<400).map { "The fox \($0 * $0 % 97) jumps over the dog.\n" }.joined())
    }

    /// A run of a few steps.
    func train(_ output: String) -> [String] {
        [
            "train", model, "--teacher", teacher, "--data", text, "--output", "\(path)/\(output)", "--stages",
            "align=64", "--length", "16",
        ]
    }

    func exists(_ file: String) -> Bool { FileManager.default.fileExists(atPath: "\(path)/\(file)") }
    func bytes(_ file: String) throws -> Data { try Data(contentsOf: URL(fileURLWithPath: "\(path)/\(file)")) }
}
