import Foundation
import Synchronization

/// Names of what is written beside its place and renamed when it is whole: `.NAME.moult-PROCESS-NUMBER.partial`.
///
/// Who writes there holds a lock on it, which ends with the process however that ends. So what has such a name and no lock
/// was left behind by a process that was killed, on whichever host, and is removed by the next one that writes beside it.
package enum PartialName {
    private static let ending = ".partial"
    private static let mark = ".moult-"
    private static let counter = Atomic<Int>(0)

    /// A name beside `path` that this process has not used before.
    static func next(beside path: FilePath) -> String {
        // A name of 255 bytes is the longest there is.
        let name = String(decoding: path.name.utf8.prefix(190), as: UTF8.self)
        let number = counter.wrappingAdd(1, ordering: .relaxed).oldValue
        return path.sibling(".\(name)\(mark)\(getpid())-\(number)\(ending)")
    }

    /// Whether `name` is of this form.
    package static func matches(_ name: String) -> Bool {
        guard name.hasPrefix("."), name.hasSuffix(ending) else { return false }
        let parts = name.dropLast(ending.count).split(separator: "-", omittingEmptySubsequences: false)
        return parts.count > 2 && parts[..<(parts.count - 2)].joined(separator: "-").appending("-").hasSuffix(mark)
            && parts.suffix(2).allSatisfy { !$0.isEmpty && $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }
    }

    /// Makes something with a new name beside `path` and locks it.
    /// - Parameter make: makes the file or folder of a name and opens it.
    static func make(
        beside path: FilePath, _ make: (String) throws(RegularFile.Fault) -> Descriptor
    ) throws(RegularFile.Fault) -> (path: String, descriptor: Descriptor) {
        removeAbandoned(in: path.folder)
        for _ in 0..<1000 {
            let name = next(beside: path)
            do {
                let descriptor = try make(name)
                // Some file systems have no locks; there nothing is ever taken for abandoned.
                let isOwn = (try? descriptor.lock()) ?? true
                // Between making and locking somebody may have taken it for abandoned.
                if isOwn, descriptor.isNamed(name) { return (name, descriptor) }
            } catch where error.code == EEXIST {
                // Of a process on another host, or an earlier one of the same number.
            }
        }
        throw RegularFile.Fault(EEXIST)
    }

    /// Removes what processes that are no more have left in `folder`. What cannot be removed stays.
    package static func removeAbandoned(in folder: String) {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        for name in names where matches(name) {
            let path = "\(folder)/\(name)"
            // Where files are far away, only who may write may lock.
            let opened = (try? Descriptor(opening: path, O_RDWR)) ?? (try? Descriptor(opening: path, O_RDONLY | O_DIRECTORY))
            guard let opened, (try? opened.lock()) == true, opened.isNamed(path) else { continue }
            try? FileManager.default.removeItem(atPath: path)
        }
    }
}
