/// What can go wrong with training data. Each case says where, what was expected, what was found and what to do.
public enum DataError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A source names no file that can be read.
    case noMatch(pattern: String, reason: String)
    /// A file cannot be opened or read.
    case unreadable(file: String, reason: String)
    /// A file or folder of the cache cannot be written.
    case unwritable(path: String, reason: String)
    /// A file's name does not end as one of the formats does.
    case unknownFormat(file: String, supported: String)
    /// A file holds no document.
    case empty(file: String)
    /// A library that a format needs is not installed.
    case missingLibrary(file: String, library: String, package: String)
    /// A part of a file does not follow its format.
    case malformed(file: String, place: DataPlace, part: String, expected: String, found: String)
    /// A file ends before a part of it does. `needed` and `available` are bytes.
    case truncated(file: String, place: DataPlace, part: String, needed: Int, available: Int)
    /// A count or a length is above what any sound file holds, or above a limit that was set.
    case tooLarge(file: String, place: DataPlace, part: String, limit: Int, found: Int)
    /// A file uses a sound feature that is not supported.
    case unsupported(file: String, place: DataPlace, what: String, found: String, supported: String)
    /// Compressed data is damaged.
    case compression(file: String, place: DataPlace, codec: String, reason: String)
    /// A text is not UTF-8.
    case notUTF8(file: String, place: DataPlace)
    /// A text is in another encoding than UTF-8.
    case encoding(file: String, found: String)
    /// A line is not JSON as Python reads it; `offset` is in bytes from the line's start.
    case json(file: String, line: Int, offset: Int, problem: String)
    /// A record has no text under the key or in the column asked for.
    case missingText(file: String, place: DataPlace, key: String, found: String)
    /// The chat template refuses a conversation, or fails on it.
    case conversation(file: String, place: DataPlace, reason: String)
    /// A conversation is to be written by a chat template, and the tokenizer has none.
    case noChatTemplate(file: String, place: DataPlace)
    /// A file was changed while it was read.
    case changed(file: String)
    /// A weight is not a positive number, or only some sources have one.
    case weight(source: String, expected: String, found: String)
    /// A source has too little text for one row.
    case tooFewTokens(source: String, needed: Int, found: Int)
    /// A file is both to be trained on and to be held apart.
    case overlap(file: String)
    /// An option is out of range.
    case option(name: String, expected: String, found: String)

    /// Whether it is about one record or file, so that the rest of the data can do without: what
    /// ``DataOptions/ErrorPolicy/skip`` passes over.
    public var isDamage: Bool {
        switch self {
        case .unreadable, .empty, .malformed, .truncated, .tooLarge, .unsupported, .compression, .notUTF8, .encoding,
            .json, .missingText, .conversation:
            true
        case .noMatch, .unwritable, .unknownFormat, .missingLibrary, .changed, .weight, .tooFewTokens, .overlap,
            .option, .noChatTemplate:
            false
        }
    }

    public var description: String {
        switch self {
        case .noMatch(let pattern, let reason):
            "\(pattern): \(reason); give a file, a folder or a pattern such as 'data/*.jsonl'"
        case .unreadable(let file, let reason):
            "\(file): cannot be read: \(reason)"
        case .unwritable(let path, let reason):
            "\(path): cannot be written: \(reason)"
        case .unknownFormat(let file, let supported):
            "\(file): unknown kind of data; supported: \(supported)"
        case .empty(let file):
            "\(file): holds no document; remove it, or skip what cannot be read"
        case .missingLibrary(let file, let library, let package):
            "\(file): reading it needs \(library), which is not installed; install the package \(package)"
        case .malformed(let file, let place, let part, let expected, let found):
            "\(file): \(place): \(part): expected \(expected), found \(found); fetch the file again"
        case .truncated(let file, let place, let part, let needed, let available):
            "\(file): \(place): truncated: \(part) needs \(needed) bytes, \(available) are left; fetch the file again"
        case .tooLarge(let file, let place, let part, let limit, let found):
            "\(file): \(place): \(part) is \(found), the limit is \(limit); the file is damaged or not meant for this"
        case .unsupported(let file, let place, let what, let found, let supported):
            "\(file): \(place): unsupported \(what) \(found); supported: \(supported)"
        case .compression(let file, let place, let codec, let reason):
            "\(file): \(place): damaged \(codec) data: \(reason); fetch the file again"
        case .notUTF8(let file, let place):
            "\(file): \(place): the text is not UTF-8; convert it, or skip what cannot be read"
        case .encoding(let file, let found):
            "\(file): expected UTF-8 text, found \(found)"
        case .json(let file, let line, let offset, let problem):
            "\(file): line \(line), byte \(offset): not valid JSON: \(problem)"
        case .missingText(let file, let place, let key, let found):
            "\(file): \(place): expected text under \"\(key)\", found \(found); name another key or column, "
                + "or skip what cannot be read"
        case .conversation(let file, let place, let reason):
            "\(file): \(place): the conversation cannot be written as text: \(reason)"
        case .noChatTemplate(let file, let place):
            "\(file): \(place): a conversation needs a chat template, and the model's tokenizer has none; put a "
                + "chat_template.jinja into the model's folder, or name a key that holds text"
        case .changed(let file):
            "\(file): was changed while it was read; start again when it is complete"
        case .weight(let source, let expected, let found):
            "\(source): weight: expected \(expected), found \(found)"
        case .tooFewTokens(let source, let needed, let found):
            "\(source): has \(found) tokens, at least \(needed) are needed; give more text, shorter rows, or "
                + "validation files of their own"
        case .overlap(let file):
            "\(file): is to be trained on and to be held apart for validation; remove it from one of them"
        case .option(let name, let expected, let found):
            "\(name): expected \(expected), found \(found)"
        }
    }
}
