import Checkpoints
import Foundation
import Records

/// What a run's folder says of it, and the page that shows it.
public struct RunReport: Sendable {
    /// The folder's name.
    let name: String
    let start: MetricsEvent.Start?
    /// In order, each step once.
    let steps: [MetricsEvent.Step]
    let validations: [MetricsEvent.Validation]
    let recalls: [MetricsEvent.Recall]
    let notices: [RunNotice]
    let alignments: [MetricsEvent.Alignment]
    /// What stages have given attention back, in order.
    let selections: [MetricsEvent.Selection]
    /// The last ones.
    let positions: MetricsEvent.Positions?
    let memory: MetricsEvent.Memory?
    /// Nil while the run goes on, and when it was ended from outside.
    let end: MetricsEvent.End?
    /// config.yaml.
    let configuration: String?
    let conversion: ConversionSummary?

    /// Reads the folder of a run, which may still be going on: metrics.jsonl, and config.yaml and the student's
    /// conversion.json when they are there.
    /// - Throws: ``ReportError/noMetrics(folder:reason:)``; `MetricsError` and `CheckpointError` for files that are
    ///   damaged.
    public init(folder: String) throws {
        let metrics = "\(folder)/metrics.jsonl"
        guard FileManager.default.fileExists(atPath: metrics) else {
            throw ReportError.noMetrics(folder: folder, reason: "there is no metrics.jsonl in it")
        }
        let events = try MetricsLog.events(path: metrics)
        guard !events.isEmpty else {
            throw ReportError.noMetrics(folder: folder, reason: "its metrics.jsonl holds no event yet")
        }
        name = URL(fileURLWithPath: folder).standardizedFileURL.lastPathComponent
        start = events.last { if case .start(let start) = $0 { start } else { nil } }
        steps = Self.each(events) { if case .step(let step) = $0 { step } else { nil } }
        validations = Self.each(events) { if case .validation(let validation) = $0 { validation } else { nil } }
        recalls = Self.each(events) { if case .recall(let recall) = $0 { recall } else { nil } }
        notices = events.compactMap { if case .notice(let it) = $0 { it.notice } else { nil } }
        alignments = Self.each(events) { if case .alignment(let alignment) = $0 { alignment } else { nil } }
        selections = Self.each(events) { if case .selection(let selection) = $0 { selection } else { nil } }
        positions = events.last { if case .positions(let positions) = $0 { positions } else { nil } }
        memory = events.last { if case .memory(let memory) = $0 { memory } else { nil } }
        // A run that was resumed after its end goes on.
        let last = events.last { event in
            switch event {
            case .start, .end: event
            default: nil
            }
        }
        end = if case .end(let end) = last { end } else { nil }
        configuration = try Self.text("\(folder)/config.yaml")
        conversion = try ["student", "best"].lazy.map { "\(folder)/\($0)/conversion.json" }
            .first { FileManager.default.fileExists(atPath: $0) }.map(ConversionSummary.init(file:))
    }

    /// Writes the page. At no time is there half a page.
    /// - Throws: ``ReportError/occupied(path:found:)`` when something else than a report is there already.
    /// - Parameter refreshing: seconds after which the browser reads it again; nil for never.
    /// - Returns: the page's bytes.
    @discardableResult
    public func write(to path: String, refreshing: Int? = nil) throws -> Int {
        try Self.checkReplaceable(path)
        let page = Data(self.page(refreshing: refreshing).text.utf8)
        try RunFile.replace(path, beginning: Array(Self.head.utf8), with: page)
        return page.count
    }

    // MARK: Reading

    /// The records of one kind by ascending step, of each step the last: a run that was resumed may repeat steps.
    private static func each<Record>(_ events: [MetricsEvent], _ record: (MetricsEvent) -> Record?) -> [Record] {
        let pairs = events.compactMap { event in record(event).map { (event.step ?? 0, $0) } }
        return Dictionary(pairs) { $1 }.sorted { $0.key < $1.key }.map(\.value)
    }

    /// The text of a file; nil when there is none.
    private static func text(_ path: String) throws -> String? {
        guard FileManager.default.fileExists(atPath: path) else { return nil }
        return String(decoding: try RunFile.read(path, limit: 1 << 20), as: UTF8.self)
    }

    /// The page's first bytes, by which a report is known when it is to be replaced.
    static let head = """
        <!DOCTYPE html>
        <html lang="en" xmlns="http://www.w3.org/1999/xhtml">
        <head>
        <meta charset="utf-8"/>
        <meta name="generator" content="Moult report"/>
        """

    private static func checkReplaceable(_ path: String) throws {
        var status = stat()
        guard lstat(path, &status) == 0 else { return }
        switch status.st_mode & S_IFMT {
        case S_IFREG: break
        case S_IFDIR: throw ReportError.occupied(path: path, found: "a folder")
        case S_IFLNK: throw ReportError.occupied(path: path, found: "a link")
        default: throw ReportError.occupied(path: path, found: "a device")
        }
        let content = try RunFile.read(path, limit: 1 << 28)
        guard content.starts(with: head.utf8) else {
            throw ReportError.occupied(path: path, found: "a file that is not a report of Moult")
        }
    }
}

extension [MetricsEvent] {
    /// What `read` makes of the last event of which it makes something.
    fileprivate func last<Value>(_ read: (MetricsEvent) -> Value?) -> Value? {
        for event in reversed() { if let value = read(event) { return value } }
        return nil
    }
}
