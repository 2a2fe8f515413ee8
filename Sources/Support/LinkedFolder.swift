import Foundation

/// Folders whose files may be links, as those of Hugging Face's cache are.
package enum LinkedFolder {
    private static let maximumDepth = 64

    /// The paths of all files in a folder and its subfolders, behind links too, but for hidden ones. A folder that is reached
    /// twice is searched once, so that links in a circle end.
    package static func files(_ folder: String) -> [String] {
        var (found, seen): ([String], Set<FileIdentity>) = ([], [])
        search(folder, 0, &found, &seen)
        return found
    }

    /// The first link in a folder that leads nowhere and for whose name `matters` is true, with what it leads to.
    package static func deadLink(_ folder: String, matters: (String) -> Bool) -> (path: String, target: String)? {
        for name in FolderContents.names(folder) where matters(name) {
            let path = "\(folder)/\(name)"
            guard access(path, F_OK) != 0, errno == ENOENT else { continue }
            if let target = try? FileManager.default.destinationOfSymbolicLink(atPath: path) { return (path, target) }
        }
        return nil
    }

    private static func search(_ folder: String, _ depth: Int, _ found: inout [String], _ seen: inout Set<FileIdentity>)
    {
        guard depth < maximumDepth, let identity = FileIdentity(folder, followsLinks: true),
            seen.insert(identity).inserted
        else { return }
        var status = stat()
        for name in FolderContents.names(folder) where !name.hasPrefix(".") {
            let path = folder.hasSuffix("/") ? folder + name : "\(folder)/\(name)"
            guard stat(path, &status) == 0 else { continue }
            if status.st_mode & S_IFMT == S_IFDIR { search(path, depth + 1, &found, &seen) } else { found.append(path) }
        }
    }
}
