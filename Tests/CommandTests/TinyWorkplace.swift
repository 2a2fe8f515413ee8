import Foundation
import TestSupport

/// A folder with a tiny Transformer, what it was converted to, and a text.
struct TinyWorkplace {
    private let tiny: TinyModel
    let model: String
    var folder: TemporaryFolder { tiny.folder }
    var path: String { tiny.path }
    var teacher: String { tiny.teacher }
    var text: String { tiny.text }

    init() throws {
        tiny = try TinyModel()
        model = try tiny.converted()
    }

    /// A run of a few steps.
    func train(_ output: String) -> [String] {
        [
            "train", model, "--teacher", teacher, "--data", text, "--output", "\(path)/\(output)", "--stages",
            "align=64", "--length", "16",
        ]
    }

    func exists(_ file: String) -> Bool { tiny.exists(file) }
    func bytes(_ file: String) throws -> Data { try tiny.bytes(file) }
}
