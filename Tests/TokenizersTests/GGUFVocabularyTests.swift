import Foundation
import Testing
import Tokenizers

@Suite struct GGUFVocabularyTests {
    private static func vocabulary(_ preTokenizer: String) -> GGUFVocabulary {
        GGUFVocabulary(
            model: "gpt2", preTokenizer: preTokenizer, tokens: ["<s>", "</s>", "a", "b", "1", "Ġ", "ab", "Ġab"],
            tokenTypes: [3, 3, 1, 1, 1, 1, 1, 1], merges: ["a b", "Ġ ab"], bosToken: 0, eosToken: 1, addsBOS: true,
            chatTemplate: "{{ messages }}")
    }

    @Test(arguments: ["smollm", "gpt-2", "llama-bpe", "qwen2"])
    func encodes(preTokenizer: String) throws {
        let tokenizer = try Tokenizer(Self.vocabulary(preTokenizer))
        #expect(try tokenizer.encode("ab ab11</s>") == [0, 6, 7, 4, 4, 1])
        #expect(try tokenizer.encode("ab", addSpecialTokens: false) == [6])
        #expect(try tokenizer.decode([0, 6, 7, 1]) == "ab ab")
        #expect(tokenizer.bosToken == 0 && tokenizer.eosToken == 1)
        #expect(tokenizer.chatTemplate == "{{ messages }}")
        #expect(tokenizer.vocabularySize == 8)
    }

    @Test func filesDescribeTheSameTokenizer() throws {
        let tokenizer = try Tokenizer(Self.vocabulary("smollm"))
        let reloaded = try Tokenizer(files: tokenizer.huggingFaceFiles)
        #expect(try reloaded.encode("ab ab11</s>") == tokenizer.encode("ab ab11</s>"))
        #expect(tokenizer.huggingFaceFiles.named.map(\.name) == ["tokenizer.json", "tokenizer_config.json"])
    }

    @Test func refusesOtherKinds() {
        var other = Self.vocabulary("smollm")
        other.model = "bert"
        #expect(throws: TokenizerError.self) { try Tokenizer(other) }
        #expect(throws: TokenizerError.self) { try Tokenizer(Self.vocabulary("mystery")) }
        var wrong = Self.vocabulary("smollm")
        wrong.eosToken = 8
        #expect(throws: TokenizerError.self) { try Tokenizer(wrong) }
    }
}
