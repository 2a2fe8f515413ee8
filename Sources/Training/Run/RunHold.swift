import Support
import Text

/// A run's folder while this process trains in it: nobody else does, and what was made of it is known, so that a start that
/// fails leaves the folder as it was.
final class RunHold {
    private let folder: RunFolder
    private let made: MadeFolders
    private let lock: FileLock
    private let hadTokens: Bool

    /// Makes the folder of a new run, and takes hold of it.
    /// - Throws: ``TrainingError/run(path:expected:found:)`` when another process holds it.
    init(_ folder: RunFolder, resuming: Bool) throws {
        self.folder = folder
        do { made = try MadeFolders(folder.path) } catch {
            throw TrainingError.file(path: folder.path, reason: "cannot be written: \(error)")
        }
        do { lock = try FileLock(path: folder.lockPath) } catch {
            made.remove()
            if let held = error as? FileLock.Held { throw folder.held(by: held) }
            throw TrainingError.file(path: folder.lockPath, reason: "cannot be written: \(error)")
        }
        hadTokens = !FolderContents.names(folder.tokenFolder).isEmpty
        do {
            // What the folder holds may have changed until it was locked.
            try folder.check(resuming: resuming)
            if resuming { try folder.recover() }
        } catch {
            discard()
            throw error
        }
    }

    /// Leaves the folder as it was.
    func discard() {
        if !hadTokens { ShardCache.remove(folder.tokenFolder) }
        if lock.isNew { lock.remove() }
        made.remove()
    }
}
