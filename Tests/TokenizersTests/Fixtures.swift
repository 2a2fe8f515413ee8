import Foundation
import Tokenizers

/// The files made by Tools/fixtures/tokenizer_fixtures.py.
enum Fixtures {
    static let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
        "Fixtures")

    static func data(_ path: String) throws -> Data {
        try Data(contentsOf: directory.appendingPathComponent(path))
    }

    static func tokenizer(_ name: String) throws -> Tokenizer {
        try Tokenizer.load(directory: directory.appendingPathComponent(name))
    }
}

/// What Hugging Face `tokenizers` does with the mixed text and with the pieces it is made of.
struct IdentityFixture: Decodable {
    struct Expected: Decodable {
        /// Ids, the text without special tokens, and the text with them.
        struct Decoding: Decodable {
            var ids: [Int32]
            var text: String
            var textWithSpecialTokens: String

            init(from decoder: any Swift.Decoder) throws {
                var container = try decoder.unkeyedContainer()
                ids = try container.decode([Int32].self)
                text = try container.decode(String.self)
                textWithSpecialTokens = try container.decode(String.self)
            }
        }

        var name: String
        var base: String
        var replacements: [[String]]
        var blocks: [String]
        var decoded: [String]
        var pieces: [[Int32]]
        var decoding: [Decoding]

        /// The trained tokenizer with this one's changes.
        func tokenizer() throws -> Tokenizer {
            var json = try Fixtures.data("\(base)/tokenizer.json")
            for replacement in replacements {
                guard let range = json.range(of: Data(replacement[0].utf8)) else { continue }
                json.replaceSubrange(range, with: Data(replacement[1].utf8))
            }
            return try Tokenizer(json: json, configuration: try Fixtures.data("\(base)/tokenizer_config.json"))
        }
    }

    var pieces: [String]
    var runs: [String]
    var blockSize: Int
    var tokenizers: [Expected]

    static func load() throws -> IdentityFixture {
        try JSONDecoder().decode(IdentityFixture.self, from: try Fixtures.data("identity.json"))
    }
}
