/// Why a report cannot be made. Nothing has been written.
public enum ReportError: Error, Equatable, CustomStringConvertible {
    /// The folder does not hold a run, or a run that has not begun.
    case noMetrics(folder: String, reason: String)
    /// Something that is not a report lies where the report would be written.
    case occupied(path: String, found: String)

    public var description: String {
        switch self {
        case .noMetrics(let folder, let reason):
            "\(folder): \(reason); give the folder of a run"
        case .occupied(let path, let found):
            "\(path): there is \(found) already, and only an earlier report is replaced; choose another output"
        }
    }
}
