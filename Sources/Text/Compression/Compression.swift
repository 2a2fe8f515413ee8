import Foundation
import Support

/// How the bytes of a file are compressed, told by how its name ends.
enum Compression: String, CaseIterable {
    case zstandard = ".zst"
    case gzip = ".gz"

    /// The compression of the file at `path`; nil for none.
    init?(path: String) {
        let name = path.lowercased()
        guard let found = Self.allCases.first(where: { name.hasSuffix($0.rawValue) }) else { return nil }
        self = found
    }

    /// The bytes of the file at `path`, decompressed.
    static func source(of path: String) throws -> any ByteSource {
        let file = try FileSource(path: path)
        return switch Compression(path: path) {
        case .zstandard: CompressedSource(file, try ZstandardStream(for: path))
        case .gzip: CompressedSource(file, try GzipStream(for: path))
        case nil: file
        }
    }

    /// As ``source(of:)``, also of a pipe, which is read whole.
    static func source(ofFileOrPipe path: String) throws -> any ByteSource {
        var status = stat()
        guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFIFO else { return try source(of: path) }
        do { return MemorySource(try RegularFile.contentsOrPipe(path), path: path) } catch {
            throw DataError.unreadable(file: path, reason: error.description)
        }
    }
}
