import Checkpoints
import Foundation
import Support

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

    /// - Parameter script: what a shell does, in which `"$0" "$@"` is `moult` with its arguments.
    init(shell script: String, _ arguments: [String]) throws {
        try self.init(
            executable: "/bin/sh", arguments: ["-c", script, Self.executable.path] + arguments)
    }

    /// - Parameter input: what is written to standard input.
    init(input: String, _ arguments: String...) throws { try self.init(input: input, arguments: arguments) }

    init(input: String, arguments: [String]) throws {
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
    private var (isReaderGone, isErrorElsewhere) = (false, false)

    /// - Parameters:
    ///   - hasInput: whether ``write(_:)`` will be used; the input is empty otherwise.
    ///   - prepare: what is done before it runs.
    init(
        _ arguments: [String], executable: String = MoultProcess.executable.path, hasInput: Bool = false,
        prepare: (RunningMoult) -> Void = { _ in }
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
        // So does it inherit what is ignored, as under nohup; a signal with a handler it finds as it always was.
        for number in [SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGXFSZ] {
            var action = sigaction()
            sigaction(number, nil, &action)
            let handler = unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self)
            if handler == unsafeBitCast(SIG_IGN, to: Int.self) { Foundation.signal(number) { _ in } }
        }
        prepare(self)
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

    /// F_SETPIPE_SZ of Linux, which Swift's Glibc lacks.
    private static let setPipeSize: Int32 = 1031

    /// Makes the pipe of standard output as small as can be, and one that is never waited for.
    func narrowOutput() {
        let descriptor = output.fileHandleForWriting.fileDescriptor
        _ = fcntl(descriptor, Self.setPipeSize, 4096)
        _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
    }

    /// Writes standard output to a terminal in place of a pipe; as a conversation, standard error too, and reads from it.
    func use(_ terminal: PseudoTerminal, isConversation: Bool) {
        process.standardOutput = terminal.end
        isReaderGone = true
        guard isConversation else { return }
        (process.standardInput, process.standardError) = (terminal.end, terminal.end)
        isErrorElsewhere = true
    }

    /// Sets variables of its environment.
    func set(_ variables: [String: String]) {
        process.environment = ProcessInfo.processInfo.environment.merging(variables) { $1 }
    }

    /// Goes away as a reader of standard output.
    func closeOutput() {
        isReaderGone = true
        try? output.fileHandleForReading.close()
    }

    func signal(_ number: Int32) { kill(process.processIdentifier, number) }

    /// Sends `number` until the process ends.
    func insist(_ number: Int32) {
        while process.isRunning {
            signal(number)
            usleep(1000)
        }
    }

    /// Waits for the end, with the input still open and nothing read, and returns the exit code.
    func waitForEnd() -> Int32 {
        process.waitUntilExit()
        return process.terminationStatus
    }

    /// Waits for the end.
    func finish() -> MoultProcess {
        if hasInput { try? input.fileHandleForWriting.close() }
        // Standard error is short: reading one pipe after the other cannot block.
        let texts = [isReaderGone ? nil : output, isErrorElsewhere ? nil : error].map {
            $0.map { String(decoding: $0.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self) } ?? ""
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
