import Foundation
import Testing
import Tokenizers

@Suite struct LoadingTests {
    private static func json(_ changes: (old: String, new: String)...) throws -> Data {
        let text = String(decoding: try Fixtures.data("llama3/tokenizer.json"), as: UTF8.self)
        return Data(changes.reduce(text) { $0.replacingOccurrences(of: $1.old, with: $1.new) }.utf8)
    }

    @Test func readsTheConfiguration() throws {
        let tokenizer = try Fixtures.tokenizer("llama2")
        #expect(tokenizer.bosToken == 1 && tokenizer.eosToken == 2 && tokenizer.unknownToken == 0)
        #expect(tokenizer.id(for: "</s>") == 2 && tokenizer.token(for: 2) == "</s>")
        #expect(tokenizer.isSpecialToken(2) && !tokenizer.isSpecialToken(300))
        #expect(tokenizer.huggingFaceFiles.tokenizer == (try Fixtures.data("llama2/tokenizer.json")))
    }

    @Test func explicitFlagsReplaceThePostProcessor() throws {
        let configuration = #"{"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>", "add_eos_token": true}"#
        let tokenizer = try Tokenizer(json: try Self.json(), configuration: Data(configuration.utf8))
        let ids = try tokenizer.encode("a", addSpecialTokens: false)
        #expect(try tokenizer.encode("a") == ids + [#require(tokenizer.eosToken)])
    }

    @Test(arguments: [
        ("\"type\":\"BPE\"", "\"type\":\"WordPiece\"", "model WordPiece"),
        ("\"type\":\"BPE\"", "\"type\":\"WordLevel\"", "model WordLevel"),
        ("\"type\":\"Split\"", "\"type\":\"UnicodeScripts\"", "pre-tokenizer UnicodeScripts"),
        ("\"type\":\"TemplateProcessing\"", "\"type\":\"Other\"", "post-processor Other"),
        ("\"normalizer\":null", "\"normalizer\":{\"type\":\"BertNormalizer\"}", "normalizer BertNormalizer"),
        ("\"decoder\":{\"type\":\"ByteLevel\"", "\"decoder\":{\"type\":\"WordPiece\"", "decoder WordPiece"),
    ])
    func refusesOtherComponents(old: String, new: String, named: String) throws {
        let data = try Self.json((old, new))
        let error = #expect(throws: TokenizerError.self) { try Tokenizer(json: data) }
        #expect(
            error?.description.hasPrefix("tokenizer.json: \(named) is not supported") == true,
            "\(String(describing: error))")
    }

    @Test(arguments: [
        "", "{", "[]", "{}", "{\"model\": 1}", "{\"model\":{\"vocab\":{\"a\":-1},\"merges\":[]}}", "nul", "\u{0}",
    ])
    func refusesMalformedFiles(text: String) {
        #expect(throws: TokenizerError.self) { try Tokenizer(json: Data(text.utf8)) }
    }

    @Test func refusesHugeIDsAndUnknownMerges() {
        for model in [#"{"vocab":{"a":4294967296},"merges":[]}"#, #"{"vocab":{"a":0},"merges":["a b"]}"#] {
            let text = #"{"decoder":{"type":"ByteLevel"},"model":"# + model + "}"
            #expect(throws: TokenizerError.self) { try Tokenizer(json: Data(text.utf8)) }
        }
    }

    @Test func missingFile() {
        #expect(throws: TokenizerError.self) { try Tokenizer.load(directory: Fixtures.directory) }
    }

    @Test func textThatIsNotUTF8() throws {
        let tokenizer = try Fixtures.tokenizer("llama3")
        #expect(throws: TokenizerError.invalidUTF8(offset: 2)) { try tokenizer.encode(utf8: Data([0x61, 0x62, 0xFF])) }
        #expect(throws: TokenizerError.invalidUTF8(offset: 1)) {
            try tokenizer.encode(utf8: Data([0x61, 0xED, 0xA0, 0x80]))
        }
        #expect(try tokenizer.encode(utf8: Data("añ".utf8)) == tokenizer.encode("añ"))
    }

    @Test func longRunsAreNotQuadratic() throws {
        for name in ["llama3", "llama2"] {
            let tokenizer = try Fixtures.tokenizer(name)
            let text = String(repeating: "a", count: 1 << 20)
            let ids = try tokenizer.encode(text, addSpecialTokens: false)
            #expect(try tokenizer.decode(ids) == text)
        }
        #expect(try Fixtures.tokenizer("llama3").encode("", addSpecialTokens: false).isEmpty)
    }

    @Test func isThreadSafe() async throws {
        let tokenizer = try Fixtures.tokenizer("llama3")
        let fixture = try IdentityFixture.load()
        let expected = try fixture.pieces.map { try tokenizer.encode($0) }
        await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<8 { group.addTask { (try? fixture.pieces.map { try tokenizer.encode($0) }) == expected } }
            for await same in group { #expect(same) }
        }
    }
}
