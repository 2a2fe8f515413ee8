import Checkpoints
import Foundation
import Support

/// Appends to a run's metrics.jsonl: one JSON object a line, given to the system as soon as it is written, so that
/// whatever ends the program leaves every earlier line whole.
public final class MetricsLog {
    /// The file that lines are appended to.
    public let path: String
    private let descriptor: Int32

    /// Begins a log, or goes on with one.
    /// - Parameter step: Nil for a new run: there must be no file yet. Otherwise the step that a run goes on from: what
    ///   came after it, and a last line that was not finished, are taken out of the file first.
    /// - Throws: ``MetricsError``.
    public init(path: String, keepingStepsUpTo step: Int?) throws {
        self.path = path
        if let step, FileManager.default.fileExists(atPath: path) { try Self.cut(path, after: step) }
        // A link is not followed: what it stands for may be anything.
        let flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK
        descriptor = open(path, flags | (step == nil ? O_EXCL : 0), 0o644)
        guard descriptor >= 0 else {
            throw MetricsError.unwritable(file: path, reason: String(cString: strerror(errno)))
        }
    }

    deinit { close(descriptor) }

    /// Appends a line.
    /// - Throws: ``MetricsError/unwritable(file:reason:)``.
    public func append(_ event: MetricsEvent) throws {
        var line = JSONValue.object(event.json).text()
        line += "\n"
        try RunFile.write(line.utf8, to: descriptor, path: path)
    }

    /// The events of the log at `path`, in order. A last line without an end is being written, or was cut off: it is
    /// left out.
    /// - Throws: ``MetricsError``, with the number of a line that Moult did not write.
    public static func events(path: String) throws -> [MetricsEvent] { try lines(path: path).map(\.event) }

    // MARK: Lines

    private static func cut(_ path: String, after step: Int) throws {
        let kept = try lines(path: path).filter { line in
            // A run that begins again at its beginning measures that again.
            switch line.event {
            case .validation where step == 0, .recall where step == 0, .notice where step == 0: return false
            default: break
            }
            return line.event.step.map { $0 <= step } ?? true
        }
        try RunFile.replace(path, beginning: [], with: Data(kept.map(\.bytes).joined()))
    }

    /// Every whole line, its end included, and what it says.
    private static func lines(path: String) throws -> [(bytes: Data, event: MetricsEvent)] {
        let contents = try RunFile.read(path, limit: 1 << 28)
        var lines: [(bytes: Data, event: MetricsEvent)] = []
        var start = contents.startIndex
        while let end = contents[start...].firstIndex(of: UInt8(ascii: "\n")) {
            let event = try Self.event(contents[start..<end], file: path, line: lines.count + 1)
            lines.append((contents[start...end], event))
            start = end + 1
        }
        return lines
    }

    private static func event(_ bytes: Data, file: String, line: Int) throws -> MetricsEvent {
        do {
            guard let object = try JSONValue(parsing: bytes, file: file).objectValue else {
                throw MetricsError.json(file: file, line: line, problem: "a JSON value of another kind")
            }
            return try MetricsEvent(MetricsFields(object, file: file, line: line))
        } catch CheckpointError.json(_, let offset, let problem) {
            throw MetricsError.json(file: file, line: line, problem: "\(problem) at byte \(offset)")
        } catch CheckpointError.duplicate(_, let name) {
            throw MetricsError.json(file: file, line: line, problem: "\"\(name)\" appears twice")
        }
    }
}
