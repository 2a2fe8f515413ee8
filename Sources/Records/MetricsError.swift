/// What can go wrong with the record of a run: metrics.jsonl and TensorBoard's files.
public enum MetricsError: Error, Equatable, CustomStringConvertible {
    /// A line of metrics.jsonl is not what Moult writes. `line` counts from 1.
    case malformed(file: String, line: Int, key: String, expected: String, found: String)
    /// A line of metrics.jsonl is not a JSON object.
    case json(file: String, line: Int, problem: String)
    /// A file is longer than any run makes it. Both figures are bytes.
    case tooLarge(file: String, limit: Int, found: Int)
    /// A file cannot be read.
    case unreadable(file: String, reason: String)
    /// A file cannot be written.
    case unwritable(file: String, reason: String)

    public var description: String {
        switch self {
        case .malformed(let file, let line, let key, let expected, let found):
            "\(file):\(line): \(key): expected \(expected), found \(found)"
        case .json(let file, let line, let problem):
            "\(file):\(line): not a JSON object: \(problem)"
        case .tooLarge(let file, let limit, let found):
            "\(file): \(found) bytes, the limit is \(limit); is this the record of a run?"
        case .unreadable(let file, let reason):
            "\(file): cannot be read: \(reason)"
        case .unwritable(let file, let reason):
            "\(file): cannot be written: \(reason)"
        }
    }
}
