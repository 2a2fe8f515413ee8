import Checkpoints
import Conversion
import Foundation
import Tensors

/// The folder of a run:
///
///     config.yaml        the configuration, every default included
///     metrics.jsonl      what happened, a JSON object a line
///     checkpoints/       where to go on after a stop
///     best/, student/    the model with the lowest validation loss, and the last one: Hugging Face folders
public struct RunFolder: Sendable {
    public let path: String
    /// The folder of the model that is trained: its configuration and tokenizer go with every student.
    let source: String

    public enum Student: String, Sendable { case best, final = "student" }

    /// Tokens of the training data, which a preparation that was cut off leaves behind.
    private static let tokens = "tokens"

    /// A run's folder; a new one is made by ``create()``.
    /// - Parameter resuming: whether the folder must be there already, or must not.
    public init(path: String, model source: String, resuming: Bool) throws {
        (self.path, self.source) = (path, source)
        let exists = FileManager.default.fileExists(atPath: configurationPath)
        if resuming {
            guard exists else {
                throw TrainingError.run(
                    path: path, expected: "the folder of a run to resume", found: "no config.yaml in it")
            }
            return
        }
        let contents = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
        let isFree = !FileManager.default.fileExists(atPath: path) || Self.isFolder(path)
        guard isFree, contents.allSatisfy({ $0 == Self.tokens }) else {
            throw TrainingError.run(
                path: path, expected: "a new folder, or --resume to go on with a run", found: "something there already")
        }
    }

    /// The settings of the run in the folder `path`.
    public static func configuration(_ path: String) throws -> TrainingConfiguration {
        let folder = try RunFolder(path: path, model: "", resuming: true)
        return try TrainingConfiguration(path: folder.configurationPath)
    }

    func create() throws {
        try FileAction.written.filing(path) {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        }
    }

    /// Removes the folder of a run that could not begin.
    func discard() { try? FileManager.default.removeItem(atPath: path) }

    var tokenFolder: String { "\(path)/\(Self.tokens)" }
    public var configurationPath: String { "\(path)/config.yaml" }
    public var metricsPath: String { "\(path)/metrics.jsonl" }
    public var tensorBoardFolder: String { "\(path)/tensorboard" }
    var checkpointFolder: String { "\(path)/checkpoints" }
    var checkpoints: [TrainingCheckpoint] { TrainingCheckpoint.all(in: checkpointFolder) }

    /// Writes the configuration.
    public func write(_ configuration: TrainingConfiguration) throws {
        let text = try configuration.yaml()
        try FileAction.written.filing(configurationPath) {
            try text.write(toFile: configurationPath, atomically: true, encoding: .utf8)
        }
    }

    /// Writes the model as a Hugging Face folder in the place of the previous one.
    /// - Parameter record: how the model was made; its card is written from that.
    func writeStudent(_ model: TrainableModel, as student: Student, record: ModelRecord) throws {
        let manager = FileManager.default
        let target = "\(path)/\(student.rawValue)"
        let partial = "\(path)/.\(student.rawValue).partial"
        do {
            try FileAction.written.filing(partial) {
                try? manager.removeItem(atPath: partial)
                try manager.createDirectory(atPath: partial, withIntermediateDirectories: false)
                for name in try manager.contentsOfDirectory(atPath: source)
                where !name.hasPrefix(".") && !name.contains(".safetensors") && !ModelRecord.sees(to: name)
                    && !Self.isFolder("\(source)/\(name)")
                {
                    try manager.copyItem(atPath: "\(source)/\(name)", toPath: "\(partial)/\(name)")
                }
            }
            try record.write(to: partial, for: target, model.configuration, keepingCardsOf: [source, target])
            let tensors = try model.rules.map { (name: $0.name, tensor: try model.stored($0.name)) }
            let writer = try SafetensorsWriter(
                directory: partial, tensors: tensors.map { ($0.name, $0.tensor.shape, $0.tensor.dtype) })
            for (_, tensor) in tensors { try writer.append(tensor) }
            try writer.finish()
            // The previous model steps aside and is removed when the new one has its name.
            let previous = "\(path)/.\(student.rawValue).previous"
            try FileAction.written.filing(target) {
                try? manager.removeItem(atPath: previous)
                if manager.fileExists(atPath: target) { try manager.moveItem(atPath: target, toPath: previous) }
                try manager.moveItem(atPath: partial, toPath: target)
                try? manager.removeItem(atPath: previous)
            }
        } catch {
            try? manager.removeItem(atPath: partial)
            throw error
        }
    }

    private static func isFolder(_ path: String) -> Bool {
        var isFolder: ObjCBool = false
        return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && isFolder.boolValue
    }
}
