import Foundation
import Support

/// The folder of a run:
///
///     config.yaml        the configuration, every default included
///     metrics.jsonl      what happened, a JSON object a line
///     checkpoints/       where to go on after a stop
///     best/, student/    the model with the lowest validation loss, and the last one: Hugging Face folders
public struct RunFolder: Sendable {
    /// The run's folder.
    public let path: String
    /// The folder of the model that is trained: its configuration and tokenizer go with every student.
    let source: String

    /// What a preparation that was cut off leaves behind: tokens of the training data, and the lock's file.
    private static let (tokens, lock) = ("tokens", ".lock")

    /// A run's folder; a new one is made when the run begins.
    /// - Parameters:
    ///   - resuming: whether the folder must be there already, or must not.
    ///   - team: who works on the run; those that do not write do not look, for meanwhile it is made.
    public init(path: String, model source: String, resuming: Bool, team: RunTeam = RunTeam()) throws {
        (self.path, self.source) = (path, source)
        guard team.writes else { return }
        if let holder = FileLock.holder(lockPath) { throw held(by: holder) }
        try check(resuming: resuming)
    }

    private init(path: String, source: String) { (self.path, self.source) = (path, source) }

    /// Checks what the folder holds.
    func check(resuming: Bool) throws {
        if resuming {
            guard FileManager.default.fileExists(atPath: configurationPath) else {
                throw TrainingError.run(
                    path: path, expected: "the folder of a run to resume", found: "no config.yaml in it")
            }
            return
        }
        let isFree = !FileManager.default.fileExists(atPath: path) || Self.isFolder(path)
        let left = FolderContents.names(path).filter { ![Self.tokens, Self.lock].contains($0) }
        guard isFree, left.allSatisfy(PartialName.matches) else {
            throw TrainingError.run(
                path: path, expected: "a new folder, or resuming to go on with a run", found: "something there already")
        }
    }

    func held(by holder: FileLock.Held) -> TrainingError {
        .run(
            path: path, expected: "a folder in which nobody trains",
            found: "\(holder), which does; wait for it or end it")
    }

    /// The settings of the run in the folder `path`.
    /// - Parameter isOurs: whether another process of the run's holds the folder.
    public static func configuration(_ path: String, isOurs: Bool = false) throws -> TrainingConfiguration {
        let folder = RunFolder(path: path, source: "")
        if !isOurs { _ = try RunFolder(path: path, model: "", resuming: true) }
        return try TrainingConfiguration(path: folder.configurationPath)
    }

    var tokenFolder: String { "\(path)/\(Self.tokens)" }
    var lockPath: String { "\(path)/\(Self.lock)" }
    /// The run's configuration, config.yaml.
    public var configurationPath: String { "\(path)/config.yaml" }
    /// What happened in the run, metrics.jsonl.
    public var metricsPath: String { "\(path)/metrics.jsonl" }
    /// The folder of TensorBoard's event files.
    public var tensorBoardFolder: String { "\(path)/tensorboard" }
    var checkpointFolder: String { "\(path)/checkpoints" }
    var checkpoints: [TrainingCheckpoint] { TrainingCheckpoint.all(in: checkpointFolder) }

    /// Writes the configuration.
    public func write(_ configuration: TrainingConfiguration) throws {
        let text = try configuration.yaml()
        do { try StagedFile.write(text.utf8, to: configurationPath) } catch {
            throw TrainingError.file(path: configurationPath, reason: "cannot be written: \(error)")
        }
    }

    static func isFolder(_ path: String) -> Bool {
        var isFolder: ObjCBool = false
        return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && isFolder.boolValue
    }
}
