/// What can go wrong with tokenizer files, token ids, text and chat templates.
public enum TokenizerError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A file that a tokenizer needs is not there or cannot be read.
    case unreadable(file: String, reason: String)
    /// A file is not valid JSON.
    case invalidJSON(file: String, offset: Int, reason: String)
    /// A value in a file is missing or has the wrong type or range.
    case invalidValue(file: String, path: String, expected: String, found: String)
    /// A file asks for a component that this library does not implement.
    case unsupported(file: String, component: String, found: String, supported: String)
    /// A component of a tokenizer makes more work or more text than any sound one.
    case limit(file: String, component: String, reason: String)
    /// No token has an id below 0.
    case negativeID(Int32)
    /// Bytes that are not UTF-8.
    case invalidUTF8(offset: Int)
    /// A chat template uses something that the renderer does not implement, or is malformed.
    case template(line: Int, reason: String)
    /// A chat template called `raise_exception`.
    case templateRaised(message: String)

    public var description: String {
        switch self {
        case .unreadable(let file, let reason):
            "\(file): cannot be read: \(reason)"
        case .invalidJSON(let file, let offset, let reason):
            "\(file): not valid JSON at byte \(offset): \(reason)"
        case .invalidValue(let file, let path, let expected, let found):
            "\(file): \(path): expected \(expected), found \(found)"
        case .unsupported(let file, let component, let found, let supported):
            "\(file): \(component) \(found) is not supported; supported: \(supported)"
        case .limit(let file, let component, let reason):
            "\(file): \(component): \(reason)"
        case .negativeID(let id):
            "token id \(id): expected an id of 0 or more"
        case .invalidUTF8(let offset):
            "the text is not UTF-8: invalid byte at offset \(offset); convert it to UTF-8 first"
        case .template(let line, let reason):
            "chat template, line \(line): \(reason)"
        case .templateRaised(let message):
            "the chat template refuses these messages: \(message)"
        }
    }
}
