import Support

/// What can go wrong with a model's files. Each case says where, what was expected and what was found.
public enum CheckpointError: Error, Equatable, CustomStringConvertible {
    /// A file cannot be opened, read or mapped.
    case unreadable(path: String, reason: String)
    /// The path is not a model: a folder without weights, a file of another kind.
    case notAModel(path: String, expected: String, found: String)
    /// A file ends before a part of it does. `needed` and `available` are bytes.
    case truncated(file: String, part: String, needed: UInt64, available: Int)
    /// A count or a length is above what any sound file holds.
    case tooLarge(file: String, part: String, limit: UInt64, found: UInt64)
    /// A part of a file does not follow its format.
    case malformed(file: String, part: String, expected: String, found: String)
    /// Text is not strict JSON; `offset` is in bytes.
    case json(file: String, offset: Int, problem: String)
    /// A name that must be unique appears twice.
    case duplicate(file: String, name: String)
    /// A tensor's shape, type or place in the file is wrong.
    case tensor(file: String, name: String, expected: String, found: String)
    /// A tensor that was asked for, or that an index promises, does not exist.
    case missingTensor(path: String, name: String)
    /// A tensor's stored type cannot be read as the type asked for.
    case conversion(file: String, name: String, from: String, to: String)
    /// A file uses a sound feature that is not supported.
    case unsupported(file: String, what: String, found: String, supported: String)
    /// A value of a model's configuration is missing, of the wrong type or out of range.
    case configuration(file: String, key: String, expected: String, found: String)
    /// A file cannot be written.
    case unwritable(path: String, reason: String)
    /// A file that would be written exists already.
    case exists(path: String)
    /// The file system has too little room. Both figures are bytes.
    case diskFull(directory: String, needed: UInt64, available: UInt64)
    /// Tensors were given to a writer in another order, shape or type than declared, or too few of them.
    case writerOrder(path: String, expected: String, found: String)

    public var description: String {
        switch self {
        case .unreadable(let path, let reason):
            "\(path): cannot be read: \(reason)"
        case .notAModel(let path, let expected, let found):
            "\(path): not a model: expected \(expected), found \(found)"
        case .truncated(let file, let part, let needed, let available):
            "\(file): truncated: \(part) needs \(needed) bytes, \(available) are left; fetch the file again"
        case .tooLarge(let file, let part, let limit, let found):
            "\(file): \(part) is \(found), the limit is \(limit); the file is damaged or not of this format"
        case .malformed(let file, let part, let expected, let found):
            "\(file): \(part): expected \(expected), found \(found)"
        case .json(let file, let offset, let problem):
            "\(file): not valid JSON at byte \(offset): \(problem)"
        case .duplicate(let file, let name):
            "\(file): \"\(name)\" appears twice"
        case .tensor(let file, let name, let expected, let found):
            "\(file): tensor \(name): expected \(expected), found \(found)"
        case .missingTensor(let path, let name):
            "\(path): there is no tensor \(name)"
        case .conversion(let file, let name, let from, let to):
            "\(file): tensor \(name) is stored as \(from) and cannot be read as \(to)"
        case .unsupported(let file, let what, let found, let supported):
            "\(file): unsupported \(what) \(found); supported: \(supported)"
        case .configuration(let file, let key, let expected, let found):
            "\(file): \(key): expected \(expected), found \(found)"
        case .unwritable(let path, let reason):
            "\(path): cannot be written: \(reason)"
        case .exists(let path):
            "\(path): exists already; choose another place or remove it"
        case .diskFull(let directory, let needed, let available):
            "\(directory): \(ByteCount.text(Int(clamping: needed))) are needed and \(ByteCount.text(Int(clamping: available))) free; "
                + "make room or choose another place"
        case .writerOrder(let path, let expected, let found):
            "\(path): expected \(expected), found \(found)"
        }
    }
}
