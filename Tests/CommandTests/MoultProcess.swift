import Checkpoints
import Foundation

/// Runs the `moult` that was built with the tests.
struct MoultProcess {
    let status: Int32
    let output: String
    let error: String

    /// The executable lies beside the test bundle.
    static let executable = URL(fileURLWithPath: CommandLine.arguments[0]).standardizedFileURL
        .deletingLastPathComponent().appendingPathComponent("moult")

    init(_ arguments: String...) throws {
        let process = Process()
        process.executableURL = Self.executable
        process.arguments = arguments
        let (output, error) = (Pipe(), Pipe())
        (process.standardOutput, process.standardError) = (output, error)
        process.standardInput = FileHandle.nullDevice
        try process.run()
        // Standard error is short: reading one pipe after the other cannot block.
        self.output = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        self.error = String(decoding: error.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        status = process.terminationStatus
    }

    /// Standard output as the one JSON object it must be.
    func json() throws -> JSONObject {
        guard case .object(let object) = try JSONValue(parsing: Data(output.utf8), file: "standard output") else {
            throw CocoaError(.coderReadCorrupt)
        }
        return object
    }
}

/// The repository's root.
let packageRoot = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().path

/// The real model, which `make fetch` puts there.
let smolLM2 = "\(packageRoot)/.models/SmolLM2-135M-Instruct.Q4_1.gguf"

/// A folder for one test, removed with its owner.
final class TemporaryFolder: Sendable {
    let path = NSTemporaryDirectory() + "moult-command-\(UUID().uuidString)"
    init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// Writes a file and returns its path.
    func file(_ name: String, _ data: Data) throws -> String {
        try data.write(to: URL(fileURLWithPath: "\(path)/\(name)"))
        return "\(path)/\(name)"
    }
}
