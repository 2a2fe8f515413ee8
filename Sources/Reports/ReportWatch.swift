import Foundation
import Support

/// Keeps the page of a run fresh while the run goes on. It only reads the run's folder, and looks no more often than it is asked.
public struct ReportWatch {
    /// How a run is found at a look.
    public enum Finding: Sendable, Equatable {
        /// There is no metrics.jsonl with an event yet.
        case waiting
        /// The page is fresh: its bytes where it was written at this look.
        case running(written: Int?)
        /// The run's last word; the page is written a last time.
        case ended(reason: String)
        /// Nobody trains in the folder any more, and there is no last word.
        case gone
    }

    /// Seconds between two looks, and after which the browser reads the page again.
    public static let (interval, refresh) = (1, 5)
    /// Looks in a row at which nobody trained that show that nobody will.
    private static let patience = 3

    private let folder: String
    private let path: String
    private var seen: (size: Int, seconds: Int)?
    private var looksAlone = 0

    /// A watch of the run in `folder`, whose page is the file `path`.
    public init(folder: String, path: String) { (self.folder, self.path) = (folder, path) }

    /// Looks at the run, and writes the page when it has more to show.
    /// - Throws: what reading the run or writing the page throws.
    public mutating func look() throws -> Finding {
        var status = stat()
        guard stat("\(folder)/metrics.jsonl", &status) == 0, status.st_size > 0 else { return .waiting }
        let isAlone = isNobodyHere
        let now = (size: Int(status.st_size), seconds: Int(status.st_mtim.tv_sec))
        let isNew = seen.map { $0 != now } ?? true
        looksAlone = isAlone && !isNew ? looksAlone + 1 : 0
        guard isNew || looksAlone >= Self.patience else { return .running(written: nil) }
        let report: RunReport
        do { report = try RunReport(folder: folder) } catch ReportError.noMetrics { return .waiting }
        let isOver = report.end != nil || looksAlone >= Self.patience
        let bytes = try report.write(to: path, refreshing: isOver ? nil : Self.refresh)
        seen = now
        if let end = report.end { return .ended(reason: end.reason) }
        return isOver ? .gone : .running(written: bytes)
    }

    /// Writes the page as it stays.
    public func finish() throws {
        do { try RunReport(folder: folder).write(to: path) } catch ReportError.noMetrics {}
    }

    /// Whether it is certain that no process of this machine trains in the folder: who may not ask cannot know.
    private var isNobodyHere: Bool {
        let lock = "\(folder)/.lock"
        return access(lock, R_OK | W_OK) == 0 && FileLock.holder(lock) == nil || access(lock, F_OK) != 0
    }
}
