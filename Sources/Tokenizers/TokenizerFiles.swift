import Foundation
import Support

/// The files of a Hugging Face folder that hold a tokenizer, byte for byte.
public struct TokenizerFiles: Sendable, Equatable {
    /// The most bytes of a file; the largest tokenizers have 35 MB.
    private static let limit = 256 << 20

    /// tokenizer.json
    public var tokenizer: Data
    /// tokenizer_config.json
    public var configuration: Data?
    /// chat_template.jinja, which comes before the template in tokenizer_config.json.
    public var chatTemplate: Data?
    /// special_tokens_map.json, which counts where tokenizer_config.json lists no tokens itself.
    public var specialTokens: Data?
    /// added_tokens.json, which counts where tokenizer_config.json lists no tokens itself.
    public var addedTokens: Data?

    /// The files' bytes; nil for a file that is not there.
    public init(
        tokenizer: Data, configuration: Data? = nil, chatTemplate: Data? = nil, specialTokens: Data? = nil,
        addedTokens: Data? = nil
    ) {
        self.tokenizer = tokenizer
        self.configuration = configuration
        self.chatTemplate = chatTemplate
        self.specialTokens = specialTokens
        self.addedTokens = addedTokens
    }

    /// The files with their names, to be written to a folder.
    public var named: [(name: String, contents: Data)] {
        [
            ("tokenizer.json", tokenizer), ("tokenizer_config.json", configuration),
            ("chat_template.jinja", chatTemplate), ("special_tokens_map.json", specialTokens),
            ("added_tokens.json", addedTokens),
        ]
        .compactMap { name, contents in contents.map { (name, $0) } }
    }

    /// Reads the files of a folder.
    ///
    /// - Throws: ``TokenizerError/unreadable(file:reason:)`` if tokenizer.json is missing or a file cannot be read.
    public init(directory: URL) throws {
        func contents(_ name: String) throws -> Data? {
            let file = directory.appendingPathComponent(name)
            guard FileManager.default.fileExists(atPath: file.path) else { return nil }
            do {
                return try RegularFile.contents(file.path, limit: Self.limit)
            } catch {
                throw TokenizerError.unreadable(file: file.path, reason: error.description)
            }
        }
        guard let tokenizer = try contents("tokenizer.json") else {
            throw TokenizerError.unreadable(
                file: directory.appendingPathComponent("tokenizer.json").path, reason: "there is no such file")
        }
        self.tokenizer = tokenizer
        configuration = try contents("tokenizer_config.json")
        chatTemplate = try contents("chat_template.jinja")
        specialTokens = try contents("special_tokens_map.json")
        addedTokens = try contents("added_tokens.json")
    }
}
