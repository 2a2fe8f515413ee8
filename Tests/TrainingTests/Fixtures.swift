import Foundation
import Tokenizers

/// A teacher of two layers with its tokenizer, and a tokenizer of the tokenizer tests.
enum Fixtures {
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()

    static func path(_ name: String) -> String { folder.appendingPathComponent("Fixtures/\(name)").path }

    /// A byte-level tokenizer of 2003 tokens that begins texts with a token, and ends them with another.
    static func tokenizer() throws -> Tokenizer {
        try Tokenizer(
            files: TokenizerFiles(
                directory: folder.deletingLastPathComponent().appendingPathComponent("TokenizersTests/Fixtures/llama3"))
        )
    }
}
