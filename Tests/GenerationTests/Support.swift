import Foundation
import TestSupport
import Tokenizers

/// A trained tokenizer of Tests/TokenizersTests.
func fixtureTokenizer(_ name: String) throws -> Tokenizer {
    try Tokenizer.load(directory: testsFolder.appendingPathComponent("TokenizersTests/Fixtures/\(name)"))
}
