import Foundation

/// A model on disk: a Hugging Face folder, or a GGUF file. Opening reads only headers and the configuration.
public struct ModelFiles: Sendable {
    public enum Kind: String, Sendable { case folder, gguf }

    /// The folder or file as it was given.
    public let path: String
    public let kind: Kind
    public let configuration: DecoderConfiguration
    public let checkpoint: any Checkpoint

    /// Opens the model at `path`.
    /// - Throws: ``CheckpointError``.
    public static func open(_ path: String) throws -> ModelFiles {
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
            throw CheckpointError.unreadable(path: path, reason: "no such file or folder")
        }
        guard isFolder.boolValue else {
            guard !path.hasSuffix(".safetensors") else {
                throw CheckpointError.notAModel(
                    path: path, expected: "the folder with config.json, or a .gguf file", found: "only the weights")
            }
            let checkpoint = try GGUFCheckpoint(path: path)
            return ModelFiles(
                path: path, kind: .gguf, configuration: try DecoderConfiguration(gguf: checkpoint),
                checkpoint: checkpoint)
        }
        let file = path + "/config.json"
        guard FileManager.default.fileExists(atPath: file) else {
            throw CheckpointError.notAModel(
                path: path, expected: "a folder with config.json, or a .gguf file", found: "no config.json")
        }
        let configuration = try DecoderConfiguration(json: JSONValue(file: file), file: file)
        return ModelFiles(
            path: path, kind: .folder, configuration: configuration, checkpoint: try SafetensorsCheckpoint(path: path))
    }

    /// The path of the folder's file `name`, such as tokenizer.json; nil when there is none, and for GGUF.
    public func file(_ name: String) -> String? {
        let file = path + "/" + name
        return kind == .folder && FileManager.default.fileExists(atPath: file) ? file : nil
    }

    /// The metadata of a GGUF file; nil for a folder.
    public var gguf: GGUFMetadata? { (checkpoint as? GGUFCheckpoint)?.metadata }

    /// The folder's generation_config.json, when there is one.
    public func generationConfiguration() throws -> JSONObject? {
        guard let file = file("generation_config.json") else { return nil }
        let json = try JSONValue(file: file)
        guard let object = json.objectValue else {
            throw CheckpointError.malformed(
                file: file, part: "the configuration", expected: "a JSON object", found: json.summary)
        }
        return object
    }
}
