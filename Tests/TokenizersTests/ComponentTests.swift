import Foundation
import Testing
import Tokenizers

/// What Hugging Face `tokenizers` makes of a text, component by component (Tools/fixtures/tokenizer_components.py).
@Suite struct ComponentTests {
    private static let bytes = #"{"type": "ByteLevel", "add_prefix_space": true, "use_regex": false}"#

    /// The alphabet of bytes as a vocabulary.
    private static let vocabulary: String = {
        var characters: [UInt32] = Array(0x21...0x7E) + Array(0xA1...0xAC) + Array(0xAE...0xFF)
        characters += (0..<UInt32(256 - characters.count)).map { 0x100 + $0 }
        let entries = characters.sorted().enumerated().compactMap { id, value -> String? in
            guard let scalar = Unicode.Scalar(value) else { return nil }
            let escaped = scalar == "\"" || scalar == "\\" ? "\\\(scalar)" : String(Character(scalar))
            return "\"\(escaped)\": \(id)"
        }
        return "{\(entries.joined(separator: ", "))}"
    }()

    private static func tokenizer(_ part: String, _ value: String) throws -> Tokenizer {
        let words = part == "pre_tokenizer" ? "\(value), \(bytes)" : bytes
        let normalizer = part == "normalizer" ? value : "null"
        let json = """
            {"normalizer": \(normalizer), "pre_tokenizer": {"type": "Sequence", "pretokenizers": [\(words)]},
             "decoder": {"type": "ByteLevel"}, "model": {"vocab": \(vocabulary), "merges": []}}
            """
        return try Tokenizer(json: Data(json.utf8))
    }

    @Test func allComponentsAsTheReference() throws {
        let object = try JSONSerialization.jsonObject(with: Fixtures.data("components.json"))
        let fixture = try #require(object as? [String: Any])
        let text = try #require(fixture["text"] as? String)
        let cases = try #require(fixture["cases"] as? [[String: Any]])
        #expect(cases.count > 90)
        for entry in cases {
            let part = try #require(entry["part"] as? String)
            let value = try JSONSerialization.data(withJSONObject: try #require(entry["value"]))
            let name = String(decoding: value, as: UTF8.self)
            let tokenizer = try Self.tokenizer(part, name)
            let result = try tokenizer.decode(tokenizer.encode(text))
            #expect(result.utf8.elementsEqual((entry["result"] as? String ?? "").utf8), "\(name)")
        }
    }

    /// Everything that the engine has otherwise or not at all is refused by name.
    @Test(arguments: [
        #"\K"#, #"\G"#, #"\X"#, "(?~a)", #"(?<n>a)\g<n>"#, "(?(1)a|b)", "(*FAIL)", "a{2,1}", "[a", "(a", "a)", "*a",
        #"\p{L"#, #"\p{Nope}"#, "[z-a]",
    ])
    func refusedExpressions(pattern: String) throws {
        let escaped = pattern.replacingOccurrences(of: "\\", with: "\\\\")
        let split = "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"\(escaped)\"}, \"behavior\": \"Isolated\"}"
        let error = #expect(throws: TokenizerError.self) { try Self.tokenizer("pre_tokenizer", split) }
        #expect(error?.description.contains("pre_tokenizer.pretokenizers[0].pattern.Regex") == true)
    }

    /// Matches that are few and far between are no work.
    @Test func longTextWithFewMatches() throws {
        let split = #"{"type": "Split", "pattern": {"Regex": "\\p{N}{1,3}"}, "behavior": "Isolated"}"#
        let tokenizer = try Self.tokenizer("pre_tokenizer", split)
        let text = String(repeating: "words without any number, ", count: 20_000)
        #expect(try tokenizer.encode(text).count == text.utf8.count + 1)
    }
}
