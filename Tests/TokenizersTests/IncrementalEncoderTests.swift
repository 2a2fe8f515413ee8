import Foundation
import Testing
import Tokenizers

@Suite("Text that arrives in pieces")
struct IncrementalEncoderTests {
    private static let text = """
        The first line, with words  and   runs of spaces; it's cut anywhere.
        \tTabs, 12345 numbers, "quotes", naïve café, Привет мир, 日本語のテキスト and 👩‍👩‍👧 emoji. \u{A0}x \u{3000}y
        don't 'll   trailing   \n\n\n  indented\r\n windows a b c d e f g<s> and </s> x e\u{301}e
        """

    /// The ids of `text` in pieces of `size` bytes.
    private func ids(_ text: [UInt8], _ tokenizer: Tokenizer, size: Int) throws -> [Int32] {
        var encoder = IncrementalEncoder(tokenizer)
        var ids: [Int32] = []
        for start in stride(from: 0, to: text.count, by: size) {
            ids += try encoder.push(text[start..<min(start + size, text.count)])
        }
        ids += try encoder.finish()
        #expect(!encoder.isRepaired)
        return ids
    }

    @Test("the ids are those of the whole text", arguments: ["llama2", "llama3", "qwen2"])
    func identity(name: String) throws {
        let tokenizer = try Fixtures.tokenizer(name)
        let text = Array(String(repeating: Self.text, count: 3).utf8)
        let whole = try tokenizer.encode(String(decoding: text, as: UTF8.self))
        for size in [1, 2, 3, 5, 7, 16, 61, 257, 10_000] {
            let areSame = try ids(text, tokenizer, size: size) == whole
            #expect(areSame, "pieces of \(size)")
        }
        let mixed = try IdentityFixture.load().pieces.joined(separator: " and ")
        let areSame = try ids(Array(mixed.utf8), tokenizer, size: 97) == tokenizer.encode(mixed)
        #expect(areSame)
    }

    /// Tokens over spaces: merges of byte-level text that nothing splits, words of a pattern, added tokens, and white space
    /// that is taken away at the end.
    @Test(
        "tokens may go over spaces",
        arguments: [
            (#""pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}"#, ""),
            (
                #""pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Split", "behavior": "Isolated", "#
                    + #""pattern": {"Regex": "\\p{L}+(?: \\p{L}+)*"}}, "#
                    + #"{"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]}"#, ""
            ),
            (#""pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false}"#, "b a"),
            (
                #""normalizer": {"type": "Strip"}, "#
                    + #""pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false}"#, ""
            ),
        ])
    func overSpaces(parts: String, added: String) throws {
        let tokens = added.isEmpty ? "" : #"{"id": 9, "content": "\#(added)", "normalized": false}"#
        let json = """
            {\(parts), "decoder": {"type": "ByteLevel"}, "added_tokens": [\(tokens)],
             "model": {"vocab": {"a": 0, "b": 1, "Ġ": 2, "aĠ": 3, "aĠb": 4, "Ġb": 5}, "merges": ["a Ġ", "aĠ b", "Ġ b"]}}
            """
        let tokenizer = try Tokenizer(json: Data(json.utf8))
        let text = "a b ab a b b aa b a b  "
        for size in [1, 3, 4, 50] {
            #expect(try ids(Array(text.utf8), tokenizer, size: size) == tokenizer.encode(text), "pieces of \(size)")
        }
    }

    @Test("most of a text is given out before its end")
    func comesEarly() throws {
        var encoder = IncrementalEncoder(try Fixtures.tokenizer("llama3"))
        #expect(try encoder.push("one two three four".utf8).isEmpty == false)
        #expect(try encoder.push("teen".utf8).isEmpty)
        #expect(try encoder.push(" five".utf8).isEmpty == false)
    }

    @Test("memory stays bounded in a text without spaces")
    func withoutSpaces() throws {
        let tokenizer = try Fixtures.tokenizer("llama3")
        var encoder = IncrementalEncoder(tokenizer)
        let piece = Array(repeating: Array("日本語".utf8), count: 1000).joined()
        var ids: [Int32] = []
        for _ in 0..<30 { ids += try encoder.push(piece) }
        // All but the last limit's worth has come out.
        let early = try tokenizer.decode(ids).utf8.count
        #expect(early >= 30 * piece.count - IncrementalEncoder.limit)
        ids += try encoder.finish()
        #expect(try Array(tokenizer.decode(ids).utf8) == Array(repeating: Array(piece), count: 30).flatMap { $0 })
        #expect(!encoder.isRepaired)
    }

    @Test("bytes that are not UTF-8 are replaced, wherever they lie")
    func repairs() throws {
        let tokenizer = try Fixtures.tokenizer("llama3")
        let texts: [[UInt8]] = [
            Array("a b".utf8) + [0xFF] + Array(" c d".utf8), [0x80, 0x80, 0x80, 0x80, 0x80, 0x20, 0x61, 0x20],
            Array("x y ".utf8) + [0xE2, 0x82], [0xF0, 0x9F, 0x20, 0x61, 0x20, 0x62], [0xC3, 0x20, 0xC3], [0x20, 0xFF],
        ]
        for text in texts {
            for size in 1...text.count {
                var encoder = IncrementalEncoder(tokenizer)
                var ids: [Int32] = []
                for start in stride(from: 0, to: text.count, by: size) {
                    ids += try encoder.push(text[start..<min(start + size, text.count)])
                }
                ids += try encoder.finish()
                #expect(try tokenizer.decode(ids) == String(decoding: text, as: UTF8.self), "\(text), \(size)")
                #expect(encoder.isRepaired)
            }
        }
    }

    @Test("a continued text gets neither a first token nor a first space", arguments: ["llama2", "llama3"])
    func continues(name: String) throws {
        let tokenizer = try Fixtures.tokenizer(name)
        let whole = try tokenizer.encode("some words and more words")
        #expect(try tokenizer.encode("some words") + tokenizer.encode(continuing: " and more words") == whole)
        var encoder = IncrementalEncoder(tokenizer, continues: true)
        #expect(
            try tokenizer.encode("some words") + encoder.push(" and more".utf8) + encoder.push(" words".utf8)
                + encoder.finish() == whole)
        #expect(try tokenizer.encode(continuing: "") == [])
        var decoder = StreamingDecoder(tokenizer, continues: true)
        let text = try tokenizer.encode(continuing: " and more").map { try decoder.push($0) }.joined()
        #expect(text + decoder.finish() == " and more")
    }
}
