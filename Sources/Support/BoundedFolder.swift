import Foundation
import Synchronization

/// What tells a file of a ``BoundedFolder`` from the others.
package protocol FileKey: Hashable, Sendable {
    /// The file's name: ASCII letters, digits and `-_.`, and no `.` in front.
    var name: String { get }
    /// What a file of that name is; nil for a foreign one.
    init?(name: String)
    /// By what files are counted.
    var group: Int { get }
}

extension FileKey {
    package var group: Int { 0 }
}

/// Files of one kind within a budget of bytes: those that were used least recently are removed first.
///
/// What is there is known by names and sizes alone, so that a folder of a million files is opened without reading one of them.
/// A file appears whole, on the disk, by renaming. Only regular files with names of keys that begin with the right bytes
/// are ever replaced or removed. One process at a time uses a folder.
package final class BoundedFolder<Key: FileKey>: Sendable {
    /// What is in the folder.
    package struct Index: Sendable {
        fileprivate var files: RecentValues<Key, Int>
        fileprivate var groups: [Int: Int] = [:]

        /// Whether there are files of `group`.
        package func has(group: Int) -> Bool { groups[group] != nil }
        package func contains(_ key: Key) -> Bool { files.peek(key) != nil }
        package var count: Int { files.count }
        package var byteCount: Int { files.byteCount }

        fileprivate mutating func insert(_ key: Key, bytes: Int) -> [Key] {
            drop(key)
            groups[key.group, default: 0] += 1
            let gone = files.insert(bytes, for: key, bytes: bytes).map(\.key)
            for key in gone { leave(key.group) }
            return gone
        }

        fileprivate mutating func drop(_ key: Key) { if files.remove(key) != nil { leave(key.group) } }

        private mutating func leave(_ group: Int) {
            groups[group] = groups[group].flatMap { $0 > 1 ? $0 - 1 : nil }
        }
    }

    private let path: String
    private let beginning: [UInt8]
    private let index: Mutex<Index>

    /// Takes over what is in the folder at `path`, which is made when it is not there.
    /// - Parameters:
    ///   - beginning: the first bytes of every file.
    ///   - isOwn: whether a file of that key may be used; others stay as they are and are not counted.
    package init(
        path: String, budget: Int, beginning: [UInt8], isOwn: (Key) -> Bool = { _ in true }
    ) throws(RegularFile.Fault) {
        _ = try MadeFolders(path)
        (self.path, self.beginning) = (path, beginning)
        var found: [(key: Key, bytes: Int, used: Double)] = []
        for folder in FolderContents.names(path) where Self.isFolderName(folder) {
            PartialName.removeAbandoned(in: "\(path)/\(folder)")
            for name in FolderContents.names("\(path)/\(folder)") {
                var status = stat()
                guard let key = Key(name: name), key.name == name, Self.folderName(name) == folder, isOwn(key),
                    lstat("\(path)/\(folder)/\(name)", &status) == 0, status.st_mode & S_IFMT == S_IFREG
                else { continue }
                let used = Double(status.st_mtim.tv_sec) + Double(status.st_mtim.tv_nsec) * 1e-9
                found.append((key, Int(status.st_size), used))
            }
        }
        found.sort { ($0.used, $0.key.name) < ($1.used, $1.key.name) }
        var index = Index(files: RecentValues(budget: budget))
        var gone: [Key] = []
        for file in found { gone += index.insert(file.key, bytes: file.bytes) }
        self.index = Mutex(index)
        for key in gone { unlinkOwn(key) }
    }

    /// Calls `body` with what is in the folder now.
    package func withIndex<Result>(_ body: (Index) throws -> Result) rethrows -> Result {
        try body(index.withLock { $0 })
    }

    package var budget: Int { index.withLock { $0.files.budget } }

    /// The key is now the one used last, for a process to come too.
    package func touch(_ key: Key) {
        guard index.withLock({ $0.files.use(key) }) != nil else { return }
        utimensat(AT_FDCWD, place(key), nil, AT_SYMLINK_NOFOLLOW)
    }

    /// Writes a file, on the disk when this returns, and removes what is above the budget.
    package func write(_ bytes: [UInt8], for key: Key) throws(RegularFile.Fault) {
        let size = bytes.count
        guard size <= budget else {
            throw RegularFile.Fault(description: "it has \(size) bytes; all together may have \(budget)")
        }
        let path = place(key)
        _ = try MadeFolders(FilePath(path).folder)
        try StagedFile.write(bytes, to: path, replacing: .file(beginning: beginning))
        for old in index.withLock({ $0.insert(key, bytes: size) }) { unlinkOwn(old) }
    }

    /// The file's contents; nil when there is none.
    package func read(_ key: Key) throws(RegularFile.Fault) -> Data? {
        guard withIndex({ $0.contains(key) }) else { return nil }
        do {
            let data = try RegularFile.contents(place(key))
            touch(key)
            return data
        } catch  where error.code == ENOENT {
            index.withLock { $0.drop(key) }
            return nil
        }
    }

    /// Removes the file.
    /// - Returns: whether there is none now: nothing is removed that does not begin as one.
    @discardableResult
    package func remove(_ key: Key) -> Bool {
        index.withLock { $0.drop(key) }
        return unlinkOwn(key)
    }

    @discardableResult
    private func unlinkOwn(_ key: Key) -> Bool {
        let path = place(key)
        switch try? Occupant(path, beginning: beginning) {
        case .nothing: return true
        case .own: return unlink(path) == 0
        default: return false
        }
    }

    /// Where the file is: in one of 256 folders, as reading a folder takes the longer the more there is in it.
    package func place(_ key: Key) -> String { "\(path)/\(Self.folderName(key.name))/\(key.name)" }

    private static func folderName(_ name: String) -> String {
        let value = Array(name.utf8).withUnsafeBytes(XXHash64.hash) & 0xFF
        return (value < 16 ? "0" : "") + String(value, radix: 16)
    }

    private static func isFolderName(_ name: String) -> Bool {
        name.utf8.count == 2 && name.allSatisfy { "0123456789abcdef".contains($0) }
    }
}
