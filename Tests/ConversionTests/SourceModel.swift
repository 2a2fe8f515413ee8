import Checkpoints
import Foundation
import Support
import Tensors
import TestSupport

/// A source model in a folder: one of the model fixtures, with its tensors and configuration changed at will.
struct SourceModel {
    let folder: TemporaryFolder
    var path: String { folder.path }

    static let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("ModelsTests/Fixtures").path

    init(
        _ fixture: String, configuration: (inout JSONObject) -> Void = { _ in },
        tensors change: (inout [(name: String, tensor: Tensor)]) throws -> Void = { _ in }
    ) throws {
        folder = try TemporaryFolder()
        let source = "\(Self.fixtures)/\(fixture)"
        guard case .object(var json) = try JSONValue(file: "\(source)/config.json") else {
            throw CocoaError(.coderReadCorrupt)
        }
        configuration(&json)
        try JSONValue.object(json).text().write(toFile: "\(folder.path)/config.json", atomically: true, encoding: .utf8)
        let checkpoint = try SafetensorsCheckpoint(path: source)
        var tensors = try checkpoint.tensors.map { (name: $0.name, tensor: try checkpoint.load($0.name, as: nil)) }
        try change(&tensors)
        let writer = try SafetensorsWriter(
            directory: folder.path, tensors: tensors.map { ($0.name, $0.tensor.shape, $0.tensor.dtype) })
        for tensor in tensors { try writer.append(tensor.tensor) }
        try writer.finish()
    }
}
