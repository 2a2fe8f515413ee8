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
        let folder: StagedFolder
        do { folder = try StagedFolder(path: output) } catch { throw refusal(output, error) }
        let result = try body(OutputFolder(url: URL(fileURLWithPath: folder.temporaryPath)))
        do { try folder.publish() } catch { throw refusal(output, error) }
        return result
    }

    private static func refusal(_ output: String, _ fault: RegularFile.Fault) -> ConversionError {
        fault.code == EEXIST
            ? .outputExists(path: output) : .file(path: output, reason: "cannot be written: \(fault.description)")
    }

    func write(_ json: JSONValue, as name: String) throws { try write(json.text(indented: true) + "\n", as: name) }
    func write(_ text: String, as name: String) throws { try write(Data(text.utf8), as: name) }

    func write(_ data: Data, as name: String) throws {
        try Self.filing(name) { try StagedFile.write(data, to: place(name), isDurable: false) }
    }

    /// Copies the folder's file `name` of a model, or what a link there stands for; false when there is none.
    func copy(_ name: String, of files: ModelFiles) throws -> Bool {
        guard let path = files.file(name) else { return false }
        try Self.filing(name) { try RegularFile.copy(path, to: place(name)) }
        return true
    }

    private func place(_ name: String) -> String { url.appendingPathComponent(name).path }

    /// Turns the file system's errors into one line that names the file.
    private static func filing(_ name: String, _ body: () throws -> Void) throws {
        do { try body() } catch let fault as RegularFile.Fault {
            throw ConversionError.file(path: name, reason: "cannot be written: \(fault)")
        }
    }
}
