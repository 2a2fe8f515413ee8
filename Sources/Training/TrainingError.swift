/// Why training could not start or go on. What was saved stays as it is.
public enum TrainingError: Error, Equatable, CustomStringConvertible {
    /// An option or a key of the configuration has a value that cannot be served.
    case option(name: String, expected: String, found: String)
    /// A configuration file cannot be read.
    case configuration(path: String, line: Int?, reason: String)
    /// The teacher and the student do not fit together.
    case teacher(path: String, expected: String, found: String)
    /// `count` steps in a row were not finite: in the last the gradient of `parameter`, or, where it is nil, the loss.
    case diverged(step: Int, count: Int, parameter: String?, checkpoint: String?)
    /// A stage takes more of a device's memory than there is.
    case memory(stage: String, device: String, available: String, needed: String, advice: String)
    /// The run's folder is not what the command needs.
    case run(path: String, expected: String, found: String)
    /// A file of the run cannot be read or written.
    case file(path: String, reason: String)

    public var description: String {
        switch self {
        case .option(let name, let expected, let found): return "\(name): expected \(expected), found \(found)"
        case .configuration(let path, let line, let reason):
            return "\(path)\(line.map { ":\($0)" } ?? ""): \(reason)"
        case .teacher(let path, let expected, let found): return "\(path): expected \(expected), found \(found)"
        case .diverged(let step, let count, let parameter, let checkpoint):
            let saved = checkpoint.map { "the last good checkpoint is \($0)" } ?? "nothing had been saved yet"
            let what = parameter.map { "the gradient of '\($0)'" } ?? "the loss"
            return "training diverged at step \(step): \(what) is not finite, after \(count) such steps in a row; "
                + "\(saved); lower the learning rate or the clip"
        case .memory(let stage, let device, let available, let needed, let advice):
            return "stage \(stage): expected to take at most \(available) of the memory of \(device), found \(needed); "
                + advice
        case .run(let path, let expected, let found): return "\(path): expected \(expected), found \(found)"
        case .file(let path, let reason): return "\(path): \(reason)"
        }
    }
}
