import Foundation
import Support

/// A model on disk: a Hugging Face folder, or a GGUF file. Opening reads only headers and the configuration.
public struct ModelFiles: Sendable {
    /// How a model lies on the disk: a Hugging Face folder, or one GGUF file.
    public enum Kind: String, Sendable { case folder, gguf }

    /// The folder or file.
    public let path: String
    /// How the model lies on the disk.
    public let kind: Kind
    /// The decoder's dimensions, from config.json or the file's metadata.
    public private(set) var configuration: DecoderConfiguration
    /// The weights, mapped.
    public private(set) var checkpoint: any Checkpoint
    /// The family of the model.
    public let family: any Family.Type
    /// The metadata of a GGUF file; nil for a folder.
    public let gguf: GGUFMetadata?
    /// What was taken otherwise than the files say, for whoever loads them; a line each.
    public private(set) var remarks: [String] = []

    /// Opens the model at `path`: a file, a folder, a repository's folder in Hugging Face's cache, or the name of one that
    /// is there.
    /// - Parameter families: those whose files are understood.
    /// - Throws: ``CheckpointError``.
    public static func open(_ path: String, families: [any Family.Type] = Families.all) throws -> ModelFiles {
        let path = try place(path)
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue else {
            guard !path.hasSuffix(".safetensors") else {
                throw CheckpointError.notAModel(
                    path: path, expected: "the folder with config.json, or a .gguf file", found: "only the weights")
            }
            let checkpoint = try GGUFCheckpoint(path: path, families: families)
            let configuration = try DecoderConfiguration(gguf: checkpoint, families: families)
            var files = ModelFiles(
                path: path, kind: .gguf, configuration: configuration, checkpoint: checkpoint,
                family: try Families.family(of: configuration.modelType, in: path, among: families),
                gguf: checkpoint.metadata)
            try files.derive()
            return files
        }
        try checkLinks(path)
        let file = path + "/config.json"
        guard FileManager.default.fileExists(atPath: file) else {
            throw CheckpointError.notAModel(
                path: path, expected: "a folder with config.json, or a .gguf file", found: try found(path))
        }
        let configuration = try DecoderConfiguration(json: JSONValue(file: file), file: file, families: families)
        var files = ModelFiles(
            path: path, kind: .folder, configuration: configuration, checkpoint: try SafetensorsCheckpoint(path: path),
            family: try Families.family(of: configuration.modelType, in: path, among: families), gguf: nil)
        try files.readAwayPrefixes()
        try files.derive()
        try files.keepDifferentHead()
        files.configuration.eosTokens = try files.endTokens(files.generationConfiguration())
        return files
    }

    /// Gives the tensors the decoder's names and shapes, where they have others.
    private mutating func derive() throws {
        let plain = TensorDerivation(checkpoint.tensors)
        var derivation = plain
        if kind == .gguf {
            try family.gguf?.derive(&derivation, configuration)
        } else {
            try family.derive(&derivation, for: configuration)
        }
        if derivation != plain { checkpoint = try DerivedCheckpoint(checkpoint, derivation) }
    }

    /// Takes names without what wraps them, where nothing else can be meant.
    private mutating func readAwayPrefixes() throws {
        guard let (renamed, remark) = try RenamedCheckpoint.unwrapping(checkpoint, embedding: family.embedding) else {
            return
        }
        checkpoint = renamed
        remarks.append("\(path): \(remark)")
    }

    /// Two tables that are said to be one and differ: transformers 5 keeps both, as this does.
    private mutating func keepDifferentHead() throws {
        let names = ParameterNames(modelType: configuration.modelType)
        let (head, embedding) = (names.head, names.embedding)
        guard configuration.tiedEmbeddings, let stored = checkpoint.description(of: head),
            let table = checkpoint.description(of: embedding), stored.shape == table.shape,
            try checkpoint.differs(stored, table)
        else { return }
        configuration.tiedEmbeddings = false
        remarks.append(
            "\(path): tie_word_embeddings is true, but \(head) differs from \(embedding); the head of the file is kept, "
                + "as in transformers 5")
    }

    /// What a folder without config.json is, and what to do with it.
    static func found(_ folder: String) throws -> String {
        let adapter = folder + "/adapter_config.json"
        guard FileManager.default.fileExists(atPath: adapter) else {
            let files = ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).filter {
                $0.hasSuffix(".gguf")
            }
            return files.isEmpty ? "no config.json" : "\(files.sorted().joined(separator: ", ")); name the file"
        }
        let base = try JSONValue(file: adapter)["base_model_name_or_path"]?.stringValue
        return RenamedCheckpoint.adapter(base.map { " of \($0)" } ?? "")
    }

    /// The path of the folder's file `name`, such as tokenizer.json; nil when there is none, and for GGUF.
    public func file(_ name: String) -> String? {
        let file = path + "/" + name
        return kind == .folder && FileManager.default.fileExists(atPath: file) ? file : nil
    }

    /// The folder's generation_config.json, or what a .gguf file says of it, when there is one.
    public func generationConfiguration() throws -> JSONObject? {
        if let gguf { return try gguf.generationConfiguration() }
        guard let file = file("generation_config.json") else { return nil }
        let json = try JSONValue(file: file)
        guard let object = json.objectValue else {
            throw CheckpointError.malformed(
                file: file, part: "the configuration", expected: "a JSON object", found: json.summary)
        }
        return object
    }
}
