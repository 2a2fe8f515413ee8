import Foundation
import Models
import Tokenizers

/// Where the tests' folders are.
public let testsFolder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()

/// A fixture model of Tests/ModelsTests, with a vocabulary of 64 or 128.
public func tinyModel(_ name: String) throws -> DecoderModel {
    try DecoderModel.load(testsFolder.appendingPathComponent("ModelsTests/Fixtures/\(name)").path, as: .float32)
}

/// A tokenizer for the tiny models: a token for every printable ASCII character and for the line's end, and two special
/// ones, 98 in all.
/// - Parameter pieces: with two more, which are pieces of a character, é.
public func asciiTokenizer(chatTemplate: String? = nil, pieces: Bool = false) throws -> Tokenizer {
    var vocabulary: [String: Int] = ["\u{120}": 0, "\u{10A}": 1]
    for byte in UInt8(33)...126 { vocabulary[String(UnicodeScalar(byte))] = Int(byte) - 31 }
    // Its bytes C3 and A9.
    if pieces { (vocabulary["\u{C3}"], vocabulary["\u{A9}"]) = (98, 99) }
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
