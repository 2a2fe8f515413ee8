import Checkpoints
import Conversion
import Foundation
import Support
import Tensors

/// The models of a run. A new one takes the place of the previous one, which steps aside first; a process that is killed in
/// between leaves it aside, and ``RunFolder/recover()`` brings it back. Files that somebody has added to the folder stay.
extension RunFolder {
    /// Which of the run's models: the one with the lowest perplexity, or the last.
    public enum Student: String, Sendable, CaseIterable { case best, final = "student" }

    private func place(_ student: Student) -> String { "\(path)/\(student.rawValue)" }
    private func previous(_ student: Student) -> String { "\(path)/.\(student.rawValue).previous" }

    /// Writes the model as a Hugging Face folder in the place of the previous one: of all ranks, of whom one writes.
    /// - Parameter record: how the model was made; its card is written from that.
    func writeStudent(_ model: TrainableModel, as student: Student, record: ModelRecord) throws {
        guard model.team.writes else { return try model.helpStore() }
        let target = place(student)
        try FileAction.written.filing(target) {
            try checkStudent(student)
            let folder = try StagedFolder(path: target, isFree: false)
            for name in FolderContents.names(source)
            where Self.isCopied(name) && !ModelRecord.sees(to: name) && !Self.isFolder("\(source)/\(name)") {
                try RegularFile.copy("\(source)/\(name)", to: "\(folder.temporaryPath)/\(name)")
            }
            // A stage may have given heads their attention back.
            if model.hasOtherConfiguration {
                let file = "\(folder.temporaryPath)/config.json",
                    text = JSONValue.object(model.configuration.decoder.json)
                try? FileManager.default.removeItem(atPath: file)
                try StagedFile.write(Data((text.text(indented: true) + "\n").utf8), to: file, isDurable: false)
            }
            try record.write(
                to: folder.temporaryPath, for: target, model.configuration, keepingCardsOf: [source, target])
            let writer = try SafetensorsWriter(
                directory: folder.temporaryPath,
                tensors: model.rules.map { ($0.name, $0.shape, model.storedType($0.name)) })
            for rule in model.rules { try writer.append(model.stored(rule.name)) }
            try writer.finish()
            try settle(student)
            try? FileManager.default.moveItem(atPath: target, toPath: previous(student))
            try folder.publish()
            try settle(student)
        }
    }

    /// Ends what a process that was killed has begun in this folder.
    func recover() throws {
        PartialName.removeAbandoned(in: path)
        PartialName.removeAbandoned(in: checkpointFolder)
        // Names of earlier versions, with which nobody else can be at work in a folder that is held.
        for name in FolderContents.names(path) where [".best.partial", ".student.partial"].contains(name) {
            try? FileManager.default.removeItem(atPath: "\(path)/\(name)")
        }
        for name in FolderContents.names(checkpointFolder) where name.hasPrefix(".step-") && name.hasSuffix(".partial")
        {
            try? FileManager.default.removeItem(atPath: "\(checkpointFolder)/\(name)")
        }
        for student in Student.allCases {
            try checkStudent(student)
            try FileAction.written.filing(place(student)) { try settle(student) }
        }
    }

    /// Refuses what no run has written in the place of a model.
    private func checkStudent(_ student: Student) throws {
        do { try FolderContents.check(place(student)) { _ in true } } catch {
            throw TrainingError.file(path: place(student), reason: error.description)
        }
    }

    /// Brings the previous model back when there is none in its place; else removes it, but not what it had beside its own.
    private func settle(_ student: Student) throws {
        let (target, previous, manager) = (place(student), previous(student), FileManager.default)
        guard manager.fileExists(atPath: previous) else { return }
        guard manager.fileExists(atPath: target) else { return try manager.moveItem(atPath: previous, toPath: target) }
        let own = Set(FolderContents.names(source).filter(Self.isCopied))
        for name in FolderContents.names(previous) where !own.contains(name) && !Self.isWeights(name) {
            let kept = "\(target)/\(name)"
            if !manager.fileExists(atPath: kept) { try manager.moveItem(atPath: "\(previous)/\(name)", toPath: kept) }
        }
        try StagedFolder.remove(previous)
    }

    private static func isCopied(_ name: String) -> Bool { !name.hasPrefix(".") && !isWeights(name) }

    /// Whether `name` is of a file that `SafetensorsWriter` writes.
    private static func isWeights(_ name: String) -> Bool {
        let parts = name.split(separator: ".", maxSplits: 1)
        guard parts.count == 2, ["safetensors", "safetensors.index.json"].contains(parts[1]) else { return false }
        let words = parts[0].split(separator: "-")
        return words == ["model"] || words.count == 4 && words[0] == "model" && words[2] == "of"
    }
}
