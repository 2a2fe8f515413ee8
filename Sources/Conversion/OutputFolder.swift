import Checkpoints
import Foundation
import Support

/// A model's folder while it is written: beside its final place, renamed to it when it is complete.
struct OutputFolder {
    /// Where the files are until then.
    let url: URL

    /// Calls `body` with a new folder and gives it the name `output`; when anything fails, nothing is left.
    /// - Throws: ``ConversionError/outputExists(path:)``, ``ConversionError/file(path:reason:)``, and what `body` throws.
    static func write<Result>(_ output: String, _ body: (OutputFolder) throws -> Result) throws -> Result {
        let manager = FileManager.default
        let target = URL(fileURLWithPath: output).standardizedFileURL
        guard !manager.fileExists(atPath: target.path) else { throw ConversionError.outputExists(path: output) }
        let parent = target.deletingLastPathComponent()
        let partial = parent.appendingPathComponent(".\(target.lastPathComponent).partial-\(getpid())")
        try filing(output) {
            try manager.createDirectory(at: parent, withIntermediateDirectories: true)
            try manager.createDirectory(at: partial, withIntermediateDirectories: false)
        }
        let registered = PartialOutput(path: partial.path)
        defer { withExtendedLifetime(registered) {} }
        do {
            let result = try body(OutputFolder(url: partial))
            try filing(output) {
                // rename(2) refuses a target that appeared meanwhile, unless it is an empty folder.
                guard rename(partial.path, target.path) == 0 else { throw CocoaError.failed(errno) }
            }
            return result
        } catch {
            try? manager.removeItem(at: partial)
            throw error
        }
    }

    func write(_ json: JSONValue, as name: String) throws { try write(json.text(indented: true) + "\n", as: name) }
    func write(_ text: String, as name: String) throws { try write(Data(text.utf8), as: name) }

    func write(_ data: Data, as name: String) throws {
        try Self.filing(name) { try data.write(to: url.appendingPathComponent(name)) }
    }

    /// Copies the folder's file `name` of a model; false when there is none.
    func copy(_ name: String, of files: ModelFiles) throws -> Bool {
        guard let path = files.file(name) else { return false }
        // Read, not copied: copying waits where a pipe stands in the place of a file.
        do { try write(try RegularFile.contents(path), as: name) } catch let fault as RegularFile.Fault {
            throw ConversionError.file(path: path, reason: "cannot be read: \(fault.description)")
        }
        return true
    }

    /// Turns the file system's errors into one line that names the path.
    private static func filing(_ path: String, _ body: () throws -> Void) throws {
        do { try body() } catch {
            throw ConversionError.file(path: path, reason: "cannot be written: \((error as NSError).plainReason)")
        }
    }
}

extension CocoaError {
    fileprivate static func failed(_ code: Int32) -> any Error {
        NSError(domain: NSPOSIXErrorDomain, code: Int(code))
    }
}

extension NSError {
    /// The system's words for the error underneath.
    fileprivate var plainReason: String {
        if let below = userInfo[NSUnderlyingErrorKey] as? NSError { return below.plainReason }
        return domain == NSPOSIXErrorDomain ? String(cString: strerror(Int32(code))) : localizedDescription
    }
}
