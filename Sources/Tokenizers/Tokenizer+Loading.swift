import Foundation

extension Tokenizer {
    /// A tokenizer from the contents of its Hugging Face files.
    ///
    /// - Throws: ``TokenizerError`` if they are malformed, or need a component that this library does not implement.
    public convenience init(files: TokenizerFiles) throws {
        try self.init(parts: TokenizerParts(files), files: files)
    }

    /// A tokenizer from the contents of tokenizer.json and tokenizer_config.json.
    public convenience init(json: Data, configuration: Data? = nil) throws {
        try self.init(files: TokenizerFiles(tokenizer: json, configuration: configuration))
    }

    /// The tokenizer of a Hugging Face folder.
    public static func load(directory: URL) throws -> Tokenizer {
        try Tokenizer(files: TokenizerFiles(directory: directory))
    }
}
