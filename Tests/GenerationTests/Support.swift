import Foundation
import Models
import Tokenizers

/// A fixture model of Tests/ModelsTests, with a vocabulary of 128.
func tinyModel(_ name: String) throws -> DecoderModel {
    try DecoderModel.load(testsFolder.appendingPathComponent("ModelsTests/Fixtures/\(name)").path, as: .float32)
}

/// A trained tokenizer of Tests/TokenizersTests.
func fixtureTokenizer(_ name: String) throws -> Tokenizer {
    try Tokenizer.load(directory: testsFolder.appendingPathComponent("TokenizersTests/Fixtures/\(name)"))
}

let testsFolder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()

/// A folder for one test, removed with its owner.
final class TemporaryFolder: Sendable {
    let path = NSTemporaryDirectory() + "moult-generation-\(UUID().uuidString)"
    init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
    deinit { try? FileManager.default.removeItem(atPath: path) }
}
