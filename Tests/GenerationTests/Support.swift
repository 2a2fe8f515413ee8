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

/// A tokenizer for the tiny models: a token for every printable ASCII character and for the line's end, and two special
/// ones, 98 in all.
func asciiTokenizer(chatTemplate: String? = nil) throws -> Tokenizer {
    var vocabulary: [String: Int] = ["\u{120}": 0, "\u{10A}": 1]
    for byte in UInt8(33)...126 { vocabulary[String(UnicodeScalar(byte))] = Int(byte) - 31 }
    let added = ["<|im_start|>", "<|im_end|>"].enumerated().map { index, content -> [String: Any] in
        [
            "id": 96 + index, "content": content, "special": true, "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": false,
        ]
    }
    let json: [String: Any] = [
        "added_tokens": added, "normalizer": NSNull(), "post_processor": NSNull(), "decoder": ["type": "ByteLevel"],
        "pre_tokenizer": ["type": "ByteLevel", "add_prefix_space": false, "use_regex": true],
        "model": ["type": "BPE", "vocab": vocabulary, "merges": [String]()],
    ]
    var configuration: [String: Any] = ["eos_token": "<|im_end|>"]
    configuration["chat_template"] = chatTemplate
    return try Tokenizer(
        json: JSONSerialization.data(withJSONObject: json),
        configuration: JSONSerialization.data(withJSONObject: configuration))
}
