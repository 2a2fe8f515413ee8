import Foundation
import Support

/// The small files of a run: read whole, written beside and renamed, or appended to.
package enum RunFile {
    /// The content of a regular file of at most `limit` bytes.
    package static func read(_ path: String, limit: Int) throws -> Data {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw unreadable(path, errno) }
        let file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw unreadable(path, errno) }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw MetricsError.unreadable(file: path, reason: "it is not a regular file")
        }
        let content: Data
        // One byte more shows a file that has grown above the limit since.
        do { content = try file.read(upToCount: limit + 1) ?? Data() } catch { throw unreadable(path, errno) }
        guard content.count <= limit else {
            throw MetricsError.tooLarge(file: path, limit: limit, found: max(Int(status.st_size), content.count))
        }
        return content
    }

    /// Puts `content` at `path`, where nothing is or a file that begins with `beginning`. At no time is there half a file.
    package static func replace(_ path: String, beginning: [UInt8], with content: Data) throws {
        do { try StagedFile.write(content, to: path, replacing: .file(beginning: beginning)) } catch {
            throw MetricsError.unwritable(file: path, reason: error.description)
        }
    }

    /// Writes everything to an open file; `path` names it in errors.
    static func write(_ bytes: some Collection<UInt8>, to descriptor: Int32, path: String) throws {
        var rest = Array(bytes)[...]
        while !rest.isEmpty {
            let written = rest.withUnsafeBytes { Foundation.write(descriptor, $0.baseAddress, $0.count) }
            if written < 0, errno == EINTR { continue }
            guard written > 0 else { throw unwritable(path, errno) }
            rest = rest.dropFirst(written)
        }
    }

    private static func unreadable(_ path: String, _ code: Int32) -> MetricsError {
        .unreadable(file: path, reason: String(cString: strerror(code)))
    }

    private static func unwritable(_ path: String, _ code: Int32) -> MetricsError {
        .unwritable(file: path, reason: String(cString: strerror(code)))
    }
}
