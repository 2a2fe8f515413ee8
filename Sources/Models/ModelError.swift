/// Why a model could not be built or run.
public enum ModelError: Error, Equatable, CustomStringConvertible {
    /// A parameter that the configuration calls for is not in the checkpoint.
    case missingParameter(name: String, path: String)
    /// A parameter's stored shape is not the one that the configuration gives.
    case parameterShape(name: String, path: String, expected: [Int], found: [Int])
    /// A key of config.json has a value that Moult does not support.
    case configuration(key: String, expected: String, found: String)
    /// A call that the model cannot serve, such as an empty prompt.
    case input(expected: String, found: String)
    /// A part of a stored state does not fit the model.
    case state(name: String, expected: String, found: String)

    public var description: String {
        switch self {
        case .missingParameter(let name, let path):
            "\(path): tensor '\(name)' is missing; the file does not match its config.json"
        case .parameterShape(let name, let path, let expected, let found):
            "\(path): tensor '\(name)' has shape \(found), expected \(expected) from config.json"
        case .configuration(let key, let expected, let found):
            "config.json: '\(key)' is \(found), expected \(expected)"
        case .input(let expected, let found):
            "expected \(expected), found \(found)"
        case .state(let name, let expected, let found):
            "the state's '\(name)': expected \(expected), found \(found)"
        }
    }
}
