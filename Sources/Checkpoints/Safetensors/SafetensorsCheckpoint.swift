import Foundation
import Support
import Tensors

/// Tensors in the safetensors format: one file, or the shards that an index names.
public struct SafetensorsCheckpoint: Checkpoint {
    /// The file, or the folder of its shards.
    public let path: String
    /// The header's free-form text, such as `format`; of all shards together.
    public private(set) var metadata: [String: String] = [:]
    private var table = TensorTable()

    /// The file of a folder whose weights are not split.
    public static let fileName = "model.safetensors"
    static let indexName = "model.safetensors.index.json"

    /// Opens a .safetensors file, or a folder with `model.safetensors` or else `model.safetensors.index.json`.
    ///
    /// Only headers are read. Every offset is checked; see ``CheckpointError`` for what is refused.
    public init(path: String) throws {
        self.path = path
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
            throw CheckpointError.unreadable(path: path, reason: "no such file or folder")
        }
        let single = path + "/" + Self.fileName, index = path + "/" + Self.indexName
        if !isFolder.boolValue {
            try append(SafetensorsFile(path: path))
        } else if FileManager.default.fileExists(atPath: single) {
            try append(SafetensorsFile(path: single))
        } else if FileManager.default.fileExists(atPath: index) {
            try appendShards(index: index)
        } else {
            let files = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
            let pickled = files.contains { $0.hasSuffix(".bin") || $0.hasSuffix(".pth") || $0.hasSuffix(".pt") }
            throw CheckpointError.notAModel(
                path: path, expected: "\(Self.fileName) or \(Self.indexName)",
                found: pickled ? "only PyTorch files; save the model with safe_serialization=True" : "neither")
        }
    }

    /// Reads one file's contents from memory.
    package init(contents: [UInt8], path: String) throws {
        self.path = path
        try append(SafetensorsFile(MappedFile(contents: contents, path: path)))
    }

    private mutating func append(_ file: SafetensorsFile) throws {
        metadata.merge(file.metadata) { first, _ in first }
        for tensor in file.tensors { try table.append(tensor) }
    }

    /// Opens all shards of an index and checks that each holds the tensors that the index promises.
    private mutating func appendShards(index: String) throws {
        let json = try JSONValue(file: index)
        guard let map = json["weight_map"]?.objectValue, map.count > 0 else {
            throw CheckpointError.malformed(
                file: index, part: "weight_map", expected: "an object of tensor names and files",
                found: json["weight_map"]?.summary ?? "none")
        }
        var shards: [String: [String]] = [:]
        for (name, value) in map.pairs {
            guard let shard = value.stringValue, !shard.isEmpty, !shard.contains("/"), !shard.contains("\\"),
                shard != ".",
                shard != "..", !shard.contains("\0")
            else {
                throw CheckpointError.malformed(
                    file: index, part: "weight_map.\(name)", expected: "the name of a file in the same folder",
                    found: value.summary)
            }
            shards[shard, default: []].append(name)
        }
        for (shard, names) in shards.sorted(by: { $0.key < $1.key }) {
            let file = try SafetensorsFile(path: path + "/" + shard)
            var missing = Set(names)
            // Where a tensor is, the index decides: what a shard holds beside that is passed over.
            let listed = file.tensors.filter { missing.remove($0.description.name) != nil }
            if let name = missing.min() { throw CheckpointError.missingTensor(path: file.file.path, name: name) }
            metadata.merge(file.metadata) { first, _ in first }
            for tensor in listed { try table.append(tensor) }
        }
    }

    public var tensors: [TensorDescription] { table.stored.map(\.description) }

    public func description(of name: String) -> TensorDescription? { table[name]?.description }

    public func load(_ name: String, as dtype: DType?) throws -> Tensor { try table.load(name, as: dtype, path: path) }

    public func load(_ name: String, number: Int, as dtype: DType?) throws -> Tensor {
        try table.load(name, number: number, as: dtype, path: path)
    }
}
