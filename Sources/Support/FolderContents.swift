import Foundation

/// What is in a folder, to be asked before the folder is removed or replaced.
package enum FolderContents {
    /// Something in a folder that Moult did not put there.
    package struct Foreign: Error, Equatable, CustomStringConvertible {
        package let description: String
    }

    /// Checks that there is a folder at `path`, no link, with nothing in it but files of names that `isOwn` knows and what
    /// was half-written; true also when there is nothing at all.
    /// - Returns: whether there is a folder.
    @discardableResult
    package static func check(_ path: String, isOwn: (String) -> Bool) throws(Foreign) -> Bool {
        var status = stat()
        guard lstat(path, &status) == 0 else { return false }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            throw Foreign(
                description: "expected a folder that Moult wrote, found \(RegularFile.kind(status.st_mode)); move it elsewhere")
        }
        if let name = names(path).first(where: { !isOwn($0) && !PartialName.matches($0) }) {
            throw Foreign(description: "expected nothing but what Moult wrote, found '\(name)'; move it elsewhere")
        }
        return true
    }

    /// The names in a folder, in order; none when it cannot be read.
    package static func names(_ path: String) -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted()
    }
}
