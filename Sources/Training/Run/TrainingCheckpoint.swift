import Checkpoints
import Foundation
import Models
import Tensors

/// A checkpoint of a run: a folder `step-00000120` with the float32 masters and AdamW's means as safetensors, and
/// state.json with the place in the run and the hash of the former. It is written beside its place, flushed to the
/// disk, and renamed: a folder of that name is complete, and ``load`` proves it.
struct TrainingCheckpoint {
    let path: String

    private static let prefix = "step-"

    /// The checkpoints in `folder`, the latest first.
    static func all(in folder: String) -> [TrainingCheckpoint] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        let steps = names.compactMap { name in
            name.hasPrefix(prefix) ? Int(name.dropFirst(prefix.count)).map { (step: $0, name: name) } : nil
        }
        return steps.sorted { $0.step > $1.step }.map { TrainingCheckpoint(path: "\(folder)/\($0.name)") }
    }

    // MARK: Writing

    /// Writes the checkpoint of `state.step` into `folder`, then removes all but the latest `keep` and what earlier runs
    /// left half-written.
    /// - Parameter fingerprint: what the run depends on; ``load(into:fingerprint:)`` asks for the same.
    @discardableResult
    static func save(
        _ model: TrainableModel, state: TrainingState, fingerprint: String, folder: String, keep: Int
    ) throws -> TrainingCheckpoint {
        let manager = FileManager.default
        let number = String(state.step)
        let name = prefix + String(repeating: "0", count: max(0, 8 - number.count)) + number
        let target = "\(folder)/\(name)"
        let partial = "\(folder)/.\(name).partial"
        do {
            try FileAction.written.filing(folder) {
                try manager.createDirectory(atPath: folder, withIntermediateDirectories: true)
                for left in try manager.contentsOfDirectory(atPath: folder) where left.hasSuffix(".partial") {
                    try manager.removeItem(atPath: "\(folder)/\(left)")
                }
                try manager.createDirectory(atPath: partial, withIntermediateDirectories: false)
            }
            try write(try tensors(of: model), to: partial)
            let hash = try contentHash(partial)
            let json: JSONObject = [
                "version": 1, "fingerprint": .string(fingerprint), "content": .string(hash),
                "state": .object(state.json),
            ]
            try FileAction.written.filing(partial) {
                try Data((JSONValue.object(json).text(indented: true) + "\n").utf8)
                    .write(to: URL(fileURLWithPath: "\(partial)/state.json"))
                // A checkpoint of this step may be there when a run was resumed from an earlier one.
                if manager.fileExists(atPath: target) { try TrainingCheckpoint(path: target).remove() }
                synchronise("\(partial)/state.json")
                synchronise(partial)
                try manager.moveItem(atPath: partial, toPath: target)
                synchronise(folder)
            }
        } catch {
            try? manager.removeItem(atPath: partial)
            throw error
        }
        for old in all(in: folder).dropFirst(keep) { try? old.remove() }
        return TrainingCheckpoint(path: target)
    }

    /// Takes the name away first: a folder that has it is whole, also when the removal is cut off.
    private func remove() throws {
        let url = URL(fileURLWithPath: path)
        let unnamed = url.deletingLastPathComponent().appendingPathComponent(
            ".\(url.lastPathComponent).removed.partial")
        try? FileManager.default.removeItem(at: unnamed)
        try FileManager.default.moveItem(at: url, to: unnamed)
        try FileManager.default.removeItem(at: unnamed)
    }

    private static func tensors(of model: TrainableModel) throws -> [(name: String, tensor: Tensor)] {
        try model.mastered.flatMap { name in
            let master = try model.master(name)
            let means = [("first", try master.first?.to(.cpu)), ("second", try master.second?.to(.cpu))]
            return [("master.\(name)", try master.value.to(.cpu))]
                + means.compactMap { kind, mean in mean.map { ("\(kind).\(name)", $0) } }
        }
    }

    private static func write(_ tensors: [(name: String, tensor: Tensor)], to folder: String) throws {
        let writer = try SafetensorsWriter(
            directory: folder, tensors: tensors.map { ($0.name, $0.tensor.shape, $0.tensor.dtype) }, shardLimit: .max)
        for (_, tensor) in tensors { try writer.append(tensor) }
        try writer.finish()
    }

    // MARK: Reading

    /// Puts the checkpoint's parameters and means into `model`, whose ``TrainableModel/train(_:)`` the caller has set to
    /// those of the state's stage.
    func load(into model: TrainableModel) throws {
        let checkpoint = try SafetensorsCheckpoint(path: path)
        for tensor in checkpoint.tensors {
            guard let dot = tensor.name.firstIndex(of: ".") else { continue }
            let name = String(tensor.name[tensor.name.index(after: dot)...])
            let value = try checkpoint.load(tensor.name, as: .float32)
            switch tensor.name[..<dot] {
            case "master": try model.restore(name, value: value)
            case "first": try model.master(name).first = value.to(model.device)
            default: try model.master(name).second = value.to(model.device)
            }
        }
    }

    /// Reads state.json and checks that the checkpoint is whole and belongs to this run.
    /// - Throws: ``TrainingError/run(path:expected:found:)`` or ``TrainingError/file(path:reason:)``.
    func state(fingerprint: String) throws -> TrainingState {
        let json: JSONValue
        do { json = try JSONValue(file: "\(path)/state.json") } catch {
            throw TrainingError.file(path: "\(path)/state.json", reason: "damaged: \(error)")
        }
        guard json["version"] == 1, let state = json["state"].flatMap({ TrainingState($0) }) else {
            throw TrainingError.file(path: "\(path)/state.json", reason: "damaged, or of another version of Moult")
        }
        guard json["fingerprint"] == .string(fingerprint) else {
            throw TrainingError.run(
                path: path, expected: "the model, teacher, text and settings with which the run began",
                found: "something else, changed since; put it back, or begin a new run in another --output")
        }
        guard json["content"] == .string(try Self.contentHash(path)) else {
            throw TrainingError.file(path: path, reason: "damaged: the hash of its tensors does not match state.json")
        }
        return state
    }

    private static func contentHash(_ folder: String) throws -> String {
        let path = "\(folder)/\(SafetensorsCheckpoint.fileName)"
        var hash = ""
        try FileAction.read.filing(path) {
            hash = XXHash64.text(try Data(contentsOf: URL(fileURLWithPath: path), options: .alwaysMapped))
        }
        return hash
    }

    // MARK: Files

    private static func synchronise(_ path: String) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        fsync(descriptor)
        close(descriptor)
    }
}
