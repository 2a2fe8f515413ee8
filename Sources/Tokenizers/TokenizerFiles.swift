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

    public init(tokenizer: Data, configuration: Data? = nil, chatTemplate: Data? = nil) {
        self.tokenizer = tokenizer
        self.configuration = configuration
        self.chatTemplate = chatTemplate
    }

    /// The files with their names, to be written to a folder.
    public var named: [(name: String, contents: Data)] {
        [
            ("tokenizer.json", tokenizer), ("tokenizer_config.json", configuration),
            ("chat_template.jinja", chatTemplate),
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
    }
}
