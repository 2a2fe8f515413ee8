import Checkpoints
import Foundation
import Models
import Support
import Tensors

/// A checkpoint of a run: a folder `step-00000120` with the float32 masters, AdamW's means and weights that adapters have
/// become part of as safetensors, and state.json with the place in the run, the hash of the former and that of its own
/// content. It is written beside its place, flushed to the disk, and renamed: a folder of that name is complete, and
/// ``state(fingerprint:isPossible:)`` proves it.
struct TrainingCheckpoint {
    let path: String

    private static let prefix = "step-"
    private static let stateName = "state.json"
    /// Version 1 had no hash of state.json; its numbers are checked all the same.
    private static let version = 2

    /// The checkpoints in `folder`, the latest first.
    static func all(in folder: String) -> [TrainingCheckpoint] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        let steps = names.compactMap { name -> (step: Int, name: String)? in
            guard name.hasPrefix(prefix), let step = Int(name.dropFirst(prefix.count)), name == Self.name(step) else {
                return nil
            }
            return (step, name)
        }
        return steps.sorted { $0.step > $1.step }.map { TrainingCheckpoint(path: "\(folder)/\($0.name)") }
    }

    // MARK: Writing

    /// Writes the checkpoint of `state.step` into `folder`, then removes all but the latest `keep` and what earlier runs
    /// left half-written: of all ranks, of whom one writes. It is the same whatever their number.
    /// - Parameters:
    ///   - carried: what rows take over from those before them.
    ///   - fingerprint: what the run depends on; ``state(fingerprint:isPossible:)`` asks for the same.
    /// - Returns: nil where others write.
    @discardableResult
    static func save(
        _ model: TrainableModel, carried: [(name: String, tensor: Tensor)] = [], state: TrainingState,
        fingerprint: String, folder: String, keep: Int
    ) throws -> TrainingCheckpoint? {
        let shared = try saved(of: model)
        guard model.team.writes else {
            for (_, _, _, tensor) in shared { _ = try tensor() }
            return nil
        }
        let others =
            model.replacedWeights.map { ("weight.\($0.name)", $0.tensor) }
            + carried.map { ("carried.\($0.name)", $0.tensor) }
        let tensors: [Saved] =
            shared + others.map { name, tensor in (name, tensor.shape, tensor.dtype, { try tensor.to(.cpu) }) }
        let target = "\(folder)/\(name(state.step))"
        try FileAction.written.filing(target) {
            let staged = try StagedFolder(path: target, isFree: false)
            try write(tensors, to: staged.temporaryPath)
            try write(state, fingerprint: fingerprint, to: staged.temporaryPath)
            // A checkpoint of this step may be there when a run was resumed from an earlier one.
            try TrainingCheckpoint(path: target).remove()
            try staged.publish()
        }
        // One that holds something else too stays.
        for old in all(in: folder).dropFirst(keep) { try? old.remove() }
        return TrainingCheckpoint(path: target)
    }

    private static func name(_ step: Int) -> String {
        let number = String(step)
        return prefix + String(repeating: "0", count: max(0, 8 - number.count)) + number
    }

    private func remove() throws {
        do {
            let isThere = try FolderContents.check(path) {
                [SafetensorsCheckpoint.fileName, Self.stateName].contains($0)
            }
            if isThere { try StagedFolder.remove(path) }
        } catch let foreign as FolderContents.Foreign {
            throw TrainingError.file(path: path, reason: foreign.description)
        }
    }

    private static func write(_ state: TrainingState, fingerprint: String, to folder: String) throws {
        var json: JSONObject = [
            "version": .integer(version), "fingerprint": .string(fingerprint),
            "content": .string(try contentHash(folder)), "state": .object(state.json),
        ]
        json["hash"] = .string(hash(json))
        try StagedFile.write(text(json), to: "\(folder)/\(stateName)")
    }

    private static func text(_ json: JSONObject) -> Data {
        Data((JSONValue.object(json).text(indented: true) + "\n").utf8)
    }

    /// The hash of state.json, of all but the hash itself.
    private static func hash(_ json: JSONObject) -> String {
        var rest = json
        rest["hash"] = nil
        return XXHash64.text(Data(JSONValue.object(rest).text().utf8))
    }

    /// A tensor, and what brings it to the host.
    private typealias Saved = (name: String, shape: [Int], type: DType, tensor: () throws -> Tensor)

    private static func saved(of model: TrainableModel) throws -> [Saved] {
        try model.mastered.flatMap { name in
            let master = try model.master(name)
            let kinds: [(String, Tensor?)] = [
                ("master", master.value), ("first", master.first), ("second", master.second),
            ]
            return kinds.compactMap { kind, own -> Saved? in
                guard let own else { return nil }
                return ("\(kind).\(name)", master.shape, .float32, { try model.whole(own, of: master) })
            }
        }
    }

    private static func write(_ tensors: [Saved], to folder: String) throws {
        let writer = try SafetensorsWriter(
            directory: folder, tensors: tensors.map { ($0.name, $0.shape, $0.type) }, shardLimit: .max)
        for (_, _, _, tensor) in tensors { try writer.append(tensor()) }
        try writer.finish()
    }

    // MARK: Reading

    /// Puts the checkpoint's parameters and means into `model`, whose ``TrainableModel/train(_:)`` the caller has set to
    /// those of the state's stage.
    /// - Returns: what rows take over from those before them, by name.
    func load(into model: TrainableModel) throws -> [String: Tensor] {
        var carried: [String: Tensor] = [:]
        let checkpoint = try SafetensorsCheckpoint(path: path)
        for tensor in checkpoint.tensors {
            guard let dot = tensor.name.firstIndex(of: ".") else { continue }
            let name = String(tensor.name[tensor.name.index(after: dot)...])
            let value = try checkpoint.load(tensor.name, as: .float32)
            switch tensor.name[..<dot] {
            case "master": try model.restore(name, value: value)
            case "weight": try model.replace(name, by: value)
            case "carried": carried[name] = value
            case "first": try model.restoreMean(name, \.first, value: value)
            default: try model.restoreMean(name, \.second, value: value)
            }
        }
        return carried
    }

    /// Reads state.json and checks that the checkpoint is whole and belongs to this run.
    /// - Parameter isPossible: whether the run can be in a state.
    /// - Throws: ``TrainingError/run(path:expected:found:)`` or ``TrainingError/file(path:reason:)``.
    func state(fingerprint: String, isPossible: (TrainingState) -> Bool) throws -> TrainingState {
        func damaged(_ reason: String) -> TrainingError {
            .file(path: "\(path)/\(Self.stateName)", reason: "damaged: \(reason)")
        }
        let (json, text): (JSONObject, Data)
        do {
            text = try RegularFile.contents("\(path)/\(Self.stateName)", limit: 1 << 20)
            json = try JSONValue(parsing: text, file: Self.stateName).objectValue ?? [:]
        } catch { throw damaged("\(error)") }
        guard let version = json["version"]?.integerValue, (1...Self.version).contains(version) else {
            throw damaged("expected version 1 to \(Self.version), found \(json["version"]?.text() ?? "none")")
        }
        // Every byte counts, also where another would mean the same.
        let isWhole = json["hash"] == .string(Self.hash(json)) && text == Self.text(json)
        guard version == 1 ? json["hash"] == nil : isWhole else {
            throw damaged("its hash does not match its contents")
        }
        guard let state = json["state"].flatMap({ TrainingState($0) }), isPossible(state) else {
            throw damaged("this run is never in the state that it holds")
        }
        guard json["fingerprint"] == .string(fingerprint) else {
            throw TrainingError.run(
                path: path, expected: "the model, teacher, text and settings with which the run began",
                found: "something else, changed since; put it back, or begin a new run in another folder")
        }
        guard json["content"] == .string(try Self.contentHash(path)) else {
            throw TrainingError.file(path: path, reason: "damaged: the hash of its tensors does not match state.json")
        }
        return state
    }

    private static func contentHash(_ folder: String) throws -> String {
        let path = "\(folder)/\(SafetensorsCheckpoint.fileName)"
        do {
            let file = try MappedFile(path: path)
            return withExtendedLifetime(file) { XXHash64.text(file.bytes) }
        } catch let error as CheckpointError {
            throw TrainingError.file(path: path, reason: "damaged: \(error)")
        }
    }
}
