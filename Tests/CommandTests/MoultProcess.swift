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

    init(_ arguments: String...) throws { try self.init(arguments: arguments) }

    /// - Parameter executable: what is run in place of `moult`.
    init(executable: String = Self.executable.path, arguments: [String]) throws {
        self = try RunningMoult(arguments, executable: executable).finish()
    }

    /// - Parameter input: what is written to standard input.
    init(input: String, _ arguments: String...) throws {
        let process = try RunningMoult(arguments, hasInput: true)
        process.write(Data(input.utf8))
        self = process.finish()
    }

    fileprivate init(status: Int32, output: String, error: String) {
        (self.status, self.output, self.error) = (status, output, error)
    }

    /// Standard output as the one JSON object it must be.
    func json() throws -> JSONObject {
        guard case .object(let object) = try JSONValue(parsing: Data(output.utf8), file: "standard output") else {
            throw CocoaError(.coderReadCorrupt)
        }
        return object
    }
}

/// A `moult` that is running.
final class RunningMoult {
    private let process = Process()
    private let (input, output, error) = (Pipe(), Pipe(), Pipe())
    private let hasInput: Bool

    /// - Parameter hasInput: whether ``write(_:)`` will be used; the input is empty otherwise.
    init(
        _ arguments: [String], executable: String = MoultProcess.executable.path, hasInput: Bool = false
    ) throws {
        self.hasInput = hasInput
        process.executableURL = URL(fileURLWithPath: executable)
        process.arguments = arguments
        (process.standardOutput, process.standardError) = (output, error)
        if hasInput { process.standardInput = input } else { process.standardInput = FileHandle.nullDevice }
        // Threads of a pool block all signals, and a process inherits that from the thread that starts it.
        var (all, before) = (sigset_t(), sigset_t())
        sigfillset(&all)
        pthread_sigmask(SIG_UNBLOCK, &all, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        try process.run()
    }

    /// Waits until `condition` holds, or the process has ended.
    func wait(until condition: () -> Bool) {
        while process.isRunning, !condition() { usleep(1000) }
    }

    /// Writes to standard input.
    func write(_ data: Data) { try? input.fileHandleForWriting.write(contentsOf: data) }

    /// Waits until something was printed.
    func waitForOutput() {
        var descriptor = pollfd(fd: output.fileHandleForReading.fileDescriptor, events: Int16(POLLIN), revents: 0)
        wait { poll(&descriptor, 1, 0) > 0 }
    }

    var identifier: Int32 { process.processIdentifier }

    func signal(_ number: Int32) { kill(process.processIdentifier, number) }

    /// Waits for the end.
    func finish() -> MoultProcess {
        if hasInput { try? input.fileHandleForWriting.close() }
        // Standard error is short: reading one pipe after the other cannot block.
        let texts = [output, error].map {
            String(decoding: $0.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        }
        process.waitUntilExit()
        return MoultProcess(status: process.terminationStatus, output: texts[0], error: texts[1])
    }
}

/// The repository's root.
let packageRoot = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().path

/// The real model, which `make fetch` puts there.
let smolLM2 = "\(packageRoot)/.models/SmolLM2-135M-Instruct.Q4_1.gguf"
