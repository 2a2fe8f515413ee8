/// Why nothing could be generated, or a state could not be restored.
public enum GenerationError: Error, Equatable, CustomStringConvertible {
    case emptyPrompt
    case nonFiniteLogits
    case option(name: String, expected: String, found: String)
    /// There is no state that could be read or saved.
    case unreadableState(path: String, reason: String)
    /// There is something at a place where a state is to be saved.
    case occupied(path: String, expected: String, found: String)
    /// A file is not a state file.
    case notAState(path: String, found: String)
    /// A state file is not as it was written.
    case damagedState(path: String, reason: String)
    /// A state file of another version of the format.
    case stateVersion(path: String, supported: UInt32, found: UInt32)
    /// The state of another model.
    case otherModel(path: String, expected: String, found: String)
    /// A conversation that cannot be held as asked.
    case conversation(expected: String, found: String)

    public var description: String {
        switch self {
        case .emptyPrompt: "the prompt is empty; give at least one token of text"
        case .nonFiniteLogits: "the model's output is not a finite number; are the weights finite? See 'moult inspect'"
        case .option(let name, let expected, let found): "\(name): expected \(expected), found \(found)"
        case .unreadableState(let path, let reason): "\(path): no state can be read: \(reason)"
        case .occupied(let path, let expected, let found): "\(path): expected \(expected), found \(found)"
        case .notAState(let path, let found):
            "\(path): expected a state that Moult saved, found \(found); give a file that Moult saved"
        case .damagedState(let path, let reason):
            "\(path): the state is damaged: \(reason); save it again"
        case .stateVersion(let path, let supported, let found):
            "\(path): a state of version \(found), expected \(supported); read the text again with this Moult"
        case .otherModel(let path, let expected, let found):
            "\(path): the state of another model (\(found), expected \(expected)); "
                + "give the model and the dtype it was saved with"
        case .conversation(let expected, let found): "expected \(expected), found \(found)"
        }
    }
}
