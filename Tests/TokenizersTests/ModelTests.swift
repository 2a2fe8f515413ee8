import Foundation
import Testing
import Tokenizers

/// Models, processors and decoders beside byte-level BPE. The ids are those of Hugging Face `tokenizers` 0.23.3.
@Suite struct ModelTests {
    private static let pieces = """
        ["<unk>", 0], ["▁", -2], ["a", -3], ["b", -3], ["▁a", -2.5], ["ab", -3.5], ["abc", -9], ["c", -4], ["▁▁", -5]
        """

    @Test func unigram() throws {
        let json = """
            {"pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"},
             "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"},
             "model": {"type": "Unigram", "unk_id": 0, "vocab": [\(Self.pieces)]}}
            """
        let tokenizer = try Tokenizer(json: Data(json.utf8))
        for (text, ids, back) in [
            ("ab abc", [1, 5, 1, 5, 7], "ab abc"), ("abzzc  b", [1, 5, 0, 7, 1, 1, 3], "ab<unk>c  b"),
            ("éé a", [1, 0, 4], "<unk> a"), ("", [], ""),
        ] as [(String, [Int32], String)] {
            #expect(try tokenizer.encode(text) == ids)
            #expect(try tokenizer.decode(ids) == back)
        }
    }

    @Test func unigramWithBytes() throws {
        let bytes = (0..<256).map { "[\"<0x\(String(format: "%02X", $0))>\", -20]" }.joined(separator: ", ")
        let json = """
            {"pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": false},
             "decoder": {"type": "Sequence", "decoders": [
                {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
                {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
             "model": {"vocab": [\(Self.pieces), \(bytes)], "unk_id": 0, "byte_fallback": true}}
            """
        let tokenizer = try Tokenizer(json: Data(json.utf8))
        #expect(try tokenizer.encode("aé b") == [4, 204, 178, 1, 3])
        #expect(try tokenizer.decode([4, 204, 178, 1, 3]) == "aé b")
        #expect(try tokenizer.encode("zz") == [1, 131, 131])
    }

    @Test func unknownTextWithoutAnUnknownToken() throws {
        let json = #"{"model": {"type": "Unigram", "vocab": [["a", 0]]}}"#
        let tokenizer = try Tokenizer(json: Data(json.utf8))
        #expect(try tokenizer.encode("aa") == [0, 0])
        #expect(throws: TokenizerError.self) { try tokenizer.encode("ab") }
    }

    @Test func fieldsThatAreMissingOrSayNothing() throws {
        let json = """
            {"normalizer": null, "pre_tokenizer": {"type": "WhitespaceSplit"}, "decoder": null,
             "post_processor": {"type": "RobertaProcessing", "sep": ["</s>", 3], "cls": ["<s>", 2]},
             "model": {"dropout": 0.0, "continuing_subword_prefix": "", "end_of_word_suffix": "",
                "vocab": {"a": 0, "b": 1, "<s>": 2, "</s>": 3, "ab": 4}, "merges": ["#version: 0.2", "a b"]}}
            """
        let tokenizer = try Tokenizer(json: Data(json.utf8))
        #expect(try tokenizer.encode("ab a ba") == [2, 4, 0, 1, 0, 3])
        // Without a decoder, tokens stand with spaces between; an id without a token is nothing.
        #expect(try tokenizer.decode([4, 0, 1, 99]) == "ab a b")
        var decoder = StreamingDecoder(tokenizer)
        #expect(try [4, 0, 99, 1].map { try decoder.push($0) } == ["ab", " a", "", " b"])
    }

    @Test func unknownTokenThatIsMissing() throws {
        let json = #"{"decoder": null, "model": {"unk_token": "<nope>", "vocab": {"a": 0}, "merges": []}}"#
        let tokenizer = try Tokenizer(json: Data(json.utf8))
        #expect(try tokenizer.encode("aa") == [0, 0])
        #expect(throws: TokenizerError.self) { try tokenizer.encode("ab") }
    }

    @Test func splitsBehindByteLevel() throws {
        // As Falcon's: digits are looked for among the characters that stand for bytes, of which ½ is one.
        let characters = "ab12345cdĠÂ½".unicodeScalars.enumerated().map { "\"\($1)\": \($0)" }.joined(separator: ", ")
        let json = """
            {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [
                {"type": "ByteLevel", "add_prefix_space": false}, {"type": "Digits", "individual_digits": false},
                {"type": "Split", "pattern": {"Regex": "[0-9][0-9][0-9]"}, "behavior": "Isolated"}]},
             "decoder": {"type": "ByteLevel"},
             "model": {"vocab": {\(characters), "34": 12, "23": 13, "Â½": 14, "Ġc": 15},
                "merges": ["3 4", "2 3", "Â ½", "Ġ c"]}}
            """
        let tokenizer = try Tokenizer(json: Data(json.utf8))
        // ab|123|45| c|Â|½|d: neither 3 and 4 nor Â and ½ stand together.
        #expect(try tokenizer.encode("ab12345 c½d") == [0, 1, 2, 13, 5, 6, 15, 10, 11, 8])
    }

    @Test func characterMap() throws {
        let json = """
            {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "\(Self.map)"}, "decoder": null,
             "model": {"type": "Unigram", "unk_id": 0,
                "vocab": [["?", 0], ["fi", -1], ["rst", -1], [" ", -1], ["a", -1], ["ä", -1], ["b", -1], ["x", -1]]}}
            """
        let tokenizer = try Tokenizer(json: Data(json.utf8))
        #expect(try tokenizer.encode("ﬁrst A") == [1, 2, 3, 4])
        #expect(try tokenizer.encode("a\u{308}b x\u{3000}b") == [5, 6, 3, 7, 3, 6])
        // The longest grapheme that fits is looked up, and its shortest beginning replaces it.
        #expect(try tokenizer.encode("a\u{308}\u{301}") == [5])
    }

    /// SentencePiece's map of four rules: ﬁ to fi, a with a diaeresis to one character, A to a, U+3000 to a space.
    private static let map =
        "AAQAAAAAAQBBDQAAAgAAgMw8AgCIBQAABwAAgIAEAgCAPQAAAAAAgKwIAgCBBQAABAAAgA0AAAAMAAAADwAAAA4AAAARAAAA"
        + "EAAAABMAAAASAAAAFQAAABQAAAAXAAAAFgAAABkAAAAYAAAAGwAAABoAAAAdAAAAHAAAAB8AAAAeAAAAIQAAAGG4AwAjAAAA"
        + "IgAAACUAAAAkAAAAJwAAACYAAAApAAAAKAAAACsAAAAqAAAALQAAACwAAAAvAAAALgAAADEAAAAwAAAAMwAAADIAAAA1AAAA"
        + "NAAAADcAAAA2AAAAOQAAADgAAAA7AAAAOgAAAD0AAAA8AAAAPwAAAD4AAABBAAAAQAAAAEMAAABCAAAARQAAAEQAAABHAAAA"
        + "RgAAAEkAAABIAAAASwAAAEoAAABNAAAATAAAAE8AAABOAAAAUQAAAFAAAABTAAAAUgAAAFUAAABUAAAAVwAAAFYAAABZAAAA"
        + "WAAAAFsAAABaAAAAXQAAAFwAAABfAAAAXgAAAGEAAABgAAAAYwAAAGIAAABlAAAAZAAAAGcAAABmAAAAaQAAAGgAAABrAAAA"
        + "agAAAG0AAABsAAAAbwAAAG4AAABxAAAAcAAAAHMAAAByAAAAdQAAAHQAAAB3AAAAdgAAAHkAAAB4AAAAewAAAHoAAAB9AAAA"
        + "fAAAAH8AAAB+AAAAgQAAAIAAAACDAAAAggAAAIUAAACEAAAAhwAAAIYAAACJAAAAiAAAAIsAAACKAAAAjQAAAIwAAACPAAAA"
        + "jgAAAJEAAACQAAAAkwAAAJIAAACVAAAAlAAAAJcAAACWAAAAmQAAAJgAAACbAAAAmgAAAJ0AAACcAAAAnwAAAJ4AAAChAAAA"
        + "oAAAAKMAAADjlAAApQAAAKQAAACnAAAApgAAAKkAAACoAAAAqwAAAKoAAACtAAAArAAAAK8AAADvKAAAsQAAALAAAACzAAAA"
        + "sgAAALUAAAC0AAAAtwAAALYAAAC5AAAAuAAAALsAAAC6AAAAvQAAALwAAAC/AAAAvgAAAMEAAADAAAAAwwAAAMIAAADFAAAA"
        + "xAAAAMcAAADGAAAAyQAAAMgAAADLAAAAygAAAM0AAADMAAAAzwAAAM4AAADRAAAA0AAAANMAAADSAAAA1QAAANQAAADXAAAA"
        + "1gAAANkAAADYAAAA2wAAANoAAADdAAAA3AAAAN8AAADeAAAA4QAAAOAAAADjAAAA4gAAAOUAAADkAAAA5wAAAOYAAADpAAAA"
        + "6AAAAOsAAADqAAAA7QAAAOwAAADvAAAA7gAAAPEAAADwAAAA8wAAAPIAAAD1AAAA9AAAAPcAAAD2AAAA+QAAAPgAAAD7AAAA"
        + "+gAAAP0AAAD8AAAA/wAAAP4AAAAgAGEAZmkAw6QA"
}
