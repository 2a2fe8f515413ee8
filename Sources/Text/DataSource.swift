import Foundation
import Support

/// Text to train on: a file, a folder or a pattern, with its weight in a mixture.
public struct DataSource: Sendable, Equatable {
    /// A file, a folder that is searched with its subfolders, or a pattern with `*`, `?` and `[...]`.
    public let path: String
    /// The source's share of the rows, relative to the other weights; nil where shares follow the sources' sizes.
    public let weight: Double?

    /// The file, folder or pattern `path` as it is.
    public init(path: String, weight: Double? = nil) {
        self.path = path
        self.weight = weight
    }

    /// A source as the command line names it: `path` or `path=weight`. A file or folder with exactly this name, and
    /// an equals sign that no number follows, are part of the path.
    /// - Throws: ``DataError/weight(source:expected:found:)`` for a weight that is not positive and finite.
    public init(parsing argument: String) throws {
        guard let sign = argument.lastIndex(of: "="), !FileManager.default.fileExists(atPath: argument),
            let weight = Double(argument[argument.index(after: sign)...])
        else {
            self.init(path: argument)
            return
        }
        guard weight > 0, weight.isFinite else {
            throw DataError.weight(source: argument, expected: "a positive number", found: "\(weight)")
        }
        self.init(path: String(argument[..<sign]), weight: weight)
    }

    /// The files of the source, in the order in which they are read: by path, byte by byte.
    /// - Throws: ``DataError/noMatch(pattern:reason:)`` when there is none, and
    ///   ``DataError/unknownFormat(file:supported:)`` for a file named outright whose format is unknown.
    public func files() throws -> [String] {
        var files: Set<String> = []
        var found: [String] = []
        for path in FileManager.default.fileExists(atPath: path) ? [path] : try matches() {
            var isFolder: ObjCBool = false
            guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else { continue }
            found.append(path)
            if isFolder.boolValue {
                files.formUnion(Self.search(path))
            } else if DataFormat(path: path) != nil {
                files.insert(path)
            } else if path == self.path {
                throw DataError.unknownFormat(file: path, supported: DataFormat.list)
            }
        }
        guard !files.isEmpty else {
            let reason = found.isEmpty ? "nothing matches" : "no file there ends in \(DataFormat.list)"
            throw DataError.noMatch(pattern: path, reason: reason)
        }
        return files.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    private func matches() throws -> [String] {
        var result = glob_t()
        defer { globfree(&result) }
        let code = glob(path, GLOB_NOSORT, nil, &result)
        guard code == 0 || code == GLOB_NOMATCH else {
            throw DataError.noMatch(pattern: path, reason: "the folders cannot be searched")
        }
        return (0..<Int(result.gl_pathc)).compactMap { index in
            result.gl_pathv[index].map { String(cString: $0) }
        }
    }

    /// The files of known formats in a folder and its subfolders, hidden ones left out and links followed. Of a data set in
    /// Hugging Face's cache the files of its latest revision.
    private static func search(_ folder: String) -> [String] {
        let isCached = HubCache.isRepository(folder)
        return LinkedFolder.files(isCached ? HubCache.snapshot(folder) ?? folder : folder)
            .filter { DataFormat(path: $0) != nil }
    }
}

extension DataSource {
    /// Whether `path` names one text rather than documents: a file or pipe, but of lines or Parquet.
    package static func isText(_ path: String) -> Bool {
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
            return !path.contains { "*?[".contains($0) }
        }
        return !isFolder.boolValue && DataFormat(path: path) ?? .text == .text
    }
}
