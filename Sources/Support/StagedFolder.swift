import Foundation

/// A folder that is written under a name of its own beside its place, and renamed when it is whole. Unless it is published
/// it is removed with its owner, and after a kill by the next process that writes there.
package final class StagedFolder {
    /// Where the folder will be.
    package let path: String
    /// Where it is until then.
    package let temporaryPath: String
    private let descriptor: Descriptor
    /// The folders above it that had to be made.
    private let parents: MadeFolders
    private let partial: PartialOutput
    private var isPublished = false

    /// Makes the folder under its temporary name, and the folders above it that are missing.
    /// - Parameter isFree: whether nothing may be at `path` already now; when it is published nothing may in any case.
    /// - Throws: a fault with the code `EEXIST` when there is something at `path`.
    package init(path: String, isFree: Bool = true) throws(RegularFile.Fault) {
        let place = FilePath(path)
        guard !place.name.isEmpty else { throw RegularFile.Fault(EEXIST) }
        self.path = place.sibling(place.name)
        if isFree { try Self.check(self.path) }
        parents = try MadeFolders(place.folder)
        do {
            (temporaryPath, descriptor) = try PartialName.make(beside: place) { name throws(RegularFile.Fault) in
                guard mkdir(name, 0o777) == 0 else { throw RegularFile.Fault(errno) }
                return try Descriptor(opening: name, O_RDONLY | O_DIRECTORY)
            }
        } catch {
            parents.remove()
            throw error
        }
        partial = PartialOutput(path: temporaryPath)
    }

    deinit { discard() }

    /// Gives the folder its name, unless something has taken that meanwhile; everything in it is on the disk then.
    /// - Parameter isDurable: false for what can be made again.
    package func publish(isDurable: Bool = true) throws(RegularFile.Fault) {
        if isDurable { DiskFlush.contents(of: temporaryPath) }
        // rename(2) itself refuses all but an empty folder.
        try Self.check(path)
        guard rename(temporaryPath, path) == 0 else { throw RegularFile.Fault(errno) }
        isPublished = true
        if isDurable { DiskFlush.folder(FilePath(path).folder) }
    }

    /// Removes the folder, unless it has its name, and the folders above it that were made for it.
    package func discard() {
        guard !isPublished else { return }
        isPublished = true
        try? FileManager.default.removeItem(atPath: temporaryPath)
        parents.remove()
    }

    /// Removes the folder at `path`. Its name goes first: a folder that has it is whole, also when this is cut off.
    package static func remove(_ path: String) throws(RegularFile.Fault) {
        let name = PartialName.next(beside: FilePath(path))
        guard rename(path, name) == 0 else { throw RegularFile.Fault(errno) }
        try? FileManager.default.removeItem(atPath: name)
    }

    private static func check(_ path: String) throws(RegularFile.Fault) {
        var status = stat()
        guard lstat(path, &status) != 0 else {
            throw RegularFile.Fault(description: "there is \(RegularFile.kind(status.st_mode)) already", code: EEXIST)
        }
    }
}
