import Foundation
import Support

/// Writes the scalars of a run as a TensorBoard event file: records of TensorFlow's TFRecord format, each an `Event`
/// message (tensorflow/core/util/event.proto, framework/summary.proto).
public final class TensorBoardWriter {
    /// The event file.
    public let path: String
    private let descriptor: Int32
    private let now: () -> Date

    /// Makes a new event file in `folder`, and the folder if it is not there. TensorBoard joins all files of a folder.
    /// - Parameters:
    ///   - step: The first step that this file will hold, when a run goes on: TensorBoard then forgets what earlier
    ///     files say of this step and later ones.
    ///   - now: The clock, which tests stop.
    /// - Throws: ``MetricsError/unwritable(file:reason:)``.
    public init(folder: String, purgingFrom step: Int? = nil, now: @escaping () -> Date = Date.init) throws {
        self.now = now
        let name =
            "\(folder)/events.out.tfevents.\(Int(now().timeIntervalSince1970))"
            + ".\(ProcessInfo.processInfo.hostName).\(getpid())"
        // TensorBoard needs the first part only; the last keeps two files of one second apart.
        path = (0...).lazy.map { "\(name).\($0)" }.first { !FileManager.default.fileExists(atPath: $0) } ?? name
        try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw MetricsError.unwritable(file: path, reason: String(cString: strerror(errno)))
        }
        var version = event(step: step ?? 0)
        version.append(Field.fileVersion, "brain.Event:2")
        try write(version)
        guard let step else { return }
        var session = ProtocolBuffer()
        session.append(Field.status, Self.sessionStart)
        var start = event(step: step)
        start.append(Field.sessionLog, session)
        try write(start)
    }

    deinit { close(descriptor) }

    /// Writes the scalars of an event; one without scalars writes nothing.
    public func append(_ event: MetricsEvent) throws {
        guard let step = event.step else { return }
        try append(Self.scalars(event), step: step)
    }

    /// Writes values, each under its tag, in one record.
    func append(_ scalars: [(tag: String, value: Double)], step: Int) throws {
        guard !scalars.isEmpty else { return }
        var summary = ProtocolBuffer()
        for (tag, number) in scalars {
            var value = ProtocolBuffer()
            value.append(Field.tag, tag)
            value.append(Field.simpleValue, Float(number))
            summary.append(Field.value, value)
        }
        var event = event(step: step)
        event.append(Field.summary, summary)
        try write(event)
    }

    /// What TensorBoard shows of an event.
    private static func scalars(_ event: MetricsEvent) -> [(tag: String, value: Double)] {
        switch event {
        case .step(let step):
            [("train/loss", step.loss), ("train/learning_rate", step.learningRate)]
                + (step.gradientNorm.map { [("train/gradient_norm", $0)] } ?? [])
                + [("train/tokens_per_second", step.tokensPerSecond)]
        case .validation(let validation):
            [("validation/loss", validation.loss), ("validation/perplexity", validation.perplexity)]
        case .recall(let recall): recall.answers.map { ("validation/recall_\($0.length)", $0.student) }
        case .alignment(let alignment):
            alignment.layers.enumerated().compactMap { layer, error in
                error.map { (String(format: "alignment/layer_%02d", layer), $0) }
            }
        case .start, .plan, .selection, .notice, .positions, .memory, .stageEnd, .end: []
        }
    }

    // MARK: Messages

    private enum Field {
        // Event
        static let wallTime: UInt64 = 1
        static let step: UInt64 = 2
        static let fileVersion: UInt64 = 3
        static let summary: UInt64 = 5
        static let sessionLog: UInt64 = 7
        // Summary, Summary.Value, SessionLog
        static let value: UInt64 = 1
        static let tag: UInt64 = 1
        static let simpleValue: UInt64 = 2
        static let status: UInt64 = 1
    }

    /// SessionLog.SessionStatus.START
    private static let sessionStart = 1

    private func event(step: Int) -> ProtocolBuffer {
        var event = ProtocolBuffer()
        event.append(Field.wallTime, now().timeIntervalSince1970)
        // As in every protocol buffer, a field that is 0 is left out.
        if step != 0 { event.append(Field.step, step) }
        return event
    }

    /// Appends a record: the length, its check, the message, its check; all little-endian.
    private func write(_ message: ProtocolBuffer) throws {
        var record: [UInt8] = []
        withUnsafeBytes(of: UInt64(message.bytes.count).littleEndian) { record += $0 }
        record += Self.check(record) + message.bytes + Self.check(message.bytes)
        try RunFile.write(record, to: descriptor, path: path)
    }

    /// A CRC-32C, turned and moved so that a check of data with checks in it is sound (TensorFlow's lib/hash/crc32c.h).
    private static func check(_ bytes: [UInt8]) -> [UInt8] {
        let checksum = CRC32C.checksum(bytes)
        let masked = (checksum >> 15 | checksum << 17) &+ 0xA282_EAD8
        return withUnsafeBytes(of: masked.littleEndian) { Array($0) }
    }
}
