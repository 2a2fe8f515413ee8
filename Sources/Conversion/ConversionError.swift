/// Why a conversion was refused. Nothing has been written, or what was has been removed.
public enum ConversionError: Error, Equatable, CustomStringConvertible {
    /// An option has a value that cannot be served.
    case option(name: String, expected: String, found: String)
    /// The source is not a plain Transformer.
    case source(path: String, expected: String, found: String)
    /// The target needs a tensor that the source does not have.
    case missingTensor(name: String, path: String)
    /// A tensor of the source has not the shape that its configuration gives.
    case tensorShape(name: String, path: String, expected: [Int], found: [Int])
    /// The source has a tensor that the architecture does not explain, so that a conversion would lose it.
    case unexplainedTensor(name: String, path: String)
    /// Weights are NaN or infinite.
    case nonFinite(name: String, path: String, count: Int)
    /// The output exists already.
    case outputExists(path: String)
    /// A file could not be written.
    case file(path: String, reason: String)
    /// The user stopped the conversion.
    case cancelled

    public var description: String {
        switch self {
        case .option(let name, let expected, let found): "\(name): expected \(expected), found \(found)"
        case .source(let path, let expected, let found): "\(path): expected \(expected), found \(found)"
        case .missingTensor(let name, let path):
            "\(path): tensor '\(name)' is missing, and the target model needs it; is the file complete?"
        case .tensorShape(let name, let path, let expected, let found):
            "\(path): tensor '\(name)' has shape \(found), expected \(expected) from the configuration"
        case .unexplainedTensor(let name, let path):
            "\(path): tensor '\(name)' is not part of the declared architecture; converting would lose it. "
                + "Check 'model_type' in config.json"
        case .nonFinite(let name, let path, let count):
            "\(path): tensor '\(name)' has \(count) NaN or infinite values; set allowNonFinite to convert it all the same"
        case .outputExists(let path): "\(path): exists already; choose another output or remove it first"
        case .file(let path, let reason): "\(path): \(reason)"
        case .cancelled: "stopped; nothing was written"
        }
    }
}
