import Foundation
import Support

/// What files hold, whatever the architecture: tensors as they are stored, and what is said about them. For models that
/// ``ModelFiles`` refuses, adapters, and parts of other programs' models.
public struct StoredModel: Sendable {
    /// The file or folder.
    public let path: String
    /// What it is, in words: "a LoRA adapter of org/model".
    public let summary: String
    /// The architecture's name in the files, when they have one.
    public let architecture: String?
    /// One for each file with tensors; in a folder there may be several with the same names.
    public let checkpoints: [any Checkpoint]
    /// Keys and values beside the tensors; of long values what they are.
    public let metadata: JSONObject

    /// Opens a .safetensors or .gguf file, or a folder that holds .safetensors files, itself or in its subfolders.
    /// - Throws: ``CheckpointError`` when there are no tensors, or a file is damaged.
    public init(path: String) throws {
        let path = try ModelFiles.place(path)
        self.path = path
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue else {
            guard path.hasSuffix(".safetensors") else {
                let file = try GGUFCheckpoint(path: path)
                checkpoints = [file]
                metadata = file.metadata.summary
                architecture = try file.metadata.string("general.architecture")
                let type = try file.metadata.string("general.type").flatMap { $0 == "model" ? nil : $0 }
                summary = "a GGUF \(type ?? "file") of architecture \(architecture ?? "unknown")"
                return
            }
            let file = try SafetensorsCheckpoint(path: path)
            checkpoints = [file]
            metadata = file.metadata.summary
            architecture = file.metadata["modelspec.architecture"]
            summary = "one safetensors file" + (Self.kind(of: file.tensors).map { ", \($0)" } ?? "")
            return
        }
        try ModelFiles.checkLinks(path)
        let files = try Self.files(in: path).map { try SafetensorsCheckpoint(path: $0) }
        guard !files.isEmpty else {
            throw CheckpointError.notAModel(
                path: path, expected: "a folder with .safetensors files, or a .gguf file",
                found: try ModelFiles.found(path))
        }
        checkpoints = files
        metadata = files.reduce(into: [:]) { all, file in all.merge(file.metadata) { first, _ in first } }.summary
        (summary, architecture) = try Self.describe(path, files)
    }

    /// The .safetensors files of a folder; where it has none, those of its subfolders.
    private static func files(in folder: String) throws -> [String] {
        let manager = FileManager.default
        func own(_ folder: String) -> [String] {
            ((try? manager.contentsOfDirectory(atPath: folder)) ?? []).filter { $0.hasSuffix(".safetensors") }.sorted()
                .map { "\(folder)/\($0)" }
        }
        let files = own(folder)
        guard files.isEmpty else { return files }
        return ((try? manager.contentsOfDirectory(atPath: folder)) ?? []).sorted().flatMap { own("\(folder)/\($0)") }
    }

    private static func describe(_ folder: String, _ files: [SafetensorsCheckpoint]) throws -> (String, String?) {
        func json(_ name: String) throws -> JSONValue? {
            let file = "\(folder)/\(name)"
            // A plain nil would be JSON's null.
            return FileManager.default.fileExists(atPath: file) ? try JSONValue(file: file) : JSONValue?.none
        }
        if let adapter = try json("adapter_config.json") {
            let type = adapter["peft_type"]?.stringValue ?? "LoRA"
            let base = adapter["base_model_name_or_path"]?.stringValue.map { " of \($0)" } ?? ""
            let rank = adapter["r"]?.integerValue.map { ", rank \($0)" } ?? ""
            return ("an adapter (\(type))\(base)\(rank)", nil)
        }
        if let pipeline = try json("model_index.json")?["_class_name"]?.stringValue {
            return ("a diffusers pipeline", pipeline)
        }
        let configuration = try json("config.json")
        let type = configuration?["model_type"]?.stringValue ?? configuration?["_class_name"]?.stringValue
        if let type { return ("a Hugging Face folder of architecture \(type)", type) }
        let kind = kind(of: files.flatMap(\.tensors)).map { ", \($0)" } ?? ""
        return ("a folder of safetensors files" + (configuration == nil ? " without config.json" : "") + kind, nil)
    }

    /// What names of tensors tell about the program that they are for.
    private static func kind(of tensors: [TensorDescription]) -> String? {
        let kinds = [
            (".lora_", "an adapter (LoRA)"), ("lora_unet_", "an adapter (LoRA) of an image model"),
            ("model.diffusion_model.", "an image model"), ("double_blocks.", "an image model"),
            ("vision_model.", "a model of images and text"),
        ]
        return kinds.first { mark, _ in tensors.contains { $0.name.contains(mark) } }?.1
    }
}

extension [String: String] {
    /// Sorted by key; in place of long texts what they are.
    fileprivate var summary: JSONObject {
        JSONObject(
            sorted { $0.key < $1.key }.map {
                ($0.key, .string($0.value.count > 60 ? "a text of \($0.value.count) characters" : $0.value))
            })
    }
}

extension GGUFMetadata {
    /// In file order; in place of long texts and of arrays what they are.
    public var summary: JSONObject {
        JSONObject(
            keys.compactMap { key in
                switch self[key] {
                case .unsigned(let value): (key, Int(exactly: value).map { .integer($0) } ?? .number(Double(value)))
                case .signed(let value): (key, .integer(Int(value)))
                case .float(let value): (key, value.isFinite ? .number(value) : .string("\(value)"))
                case .bool(let value): (key, .bool(value))
                case .string(let text) where text.count <= 60: (key, .string(text))
                case .string(let text): (key, .string("a text of \(text.count) characters"))
                case .array(let array): (key, .string("a list of \(array.count) \(array.type)"))
                case nil: nil
                }
            })
    }
}
