/// A path as the folder that holds a file and the file's name in it; any text is taken, and nothing is looked up.
package struct FilePath: Sendable, Equatable {
    /// `.` when the path names none.
    package let folder: String
    /// Empty for a path without a name, such as `/`.
    package let name: String

    /// - Parameter path: slashes at its end are left out.
    package init(_ path: String) {
        let slash = UInt8(ascii: "/")
        // Bytes, since a character may join a slash and an accent behind it.
        var bytes = path.utf8[...]
        while bytes.count > 1, bytes.last == slash { bytes.removeLast() }
        guard let last = bytes.lastIndex(of: slash) else {
            (folder, name) = (".", String(Substring(bytes)))
            return
        }
        folder = last == bytes.startIndex ? "/" : String(Substring(bytes[..<last]))
        name = String(Substring(bytes[bytes.index(after: last)...]))
    }

    /// The path of another name in the folder.
    package func sibling(_ name: String) -> String { folder == "/" ? "/\(name)" : "\(folder)/\(name)" }
}
