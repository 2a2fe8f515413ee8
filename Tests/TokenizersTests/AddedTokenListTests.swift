import Foundation
import Testing
import Tokenizers

/// Tokens that stand in other files than tokenizer.json, as transformers 5 gathers them.
@Suite struct AddedTokenListTests {
    private static let json = """
        {"added_tokens": [{"id": 3, "content": "<x>", "special": false}], "decoder": {"type": "Fuse"},
         "model": {"vocab": {"a": 0, "<s>": 1, "</s>": 2, "<": 4, "y": 5, ">": 6, "s": 7}, "merges": []}}
        """

    private func tokenizer(
        _ configuration: String? = nil, map: String? = nil, added: String? = nil
    ) throws -> Tokenizer {
        func data(_ text: String?) -> Data? { text.map { Data($0.utf8) } }
        return try Tokenizer(
            files: TokenizerFiles(
                tokenizer: Data(Self.json.utf8), configuration: data(configuration), specialTokens: data(map),
                addedTokens: data(added)))
    }

    @Test func rolesInTheMapOfSpecialTokens() throws {
        let map = #"{"bos_token": {"content": "<s>", "lstrip": false}, "eos_token": "</s>"}"#
        let tokenizer = try tokenizer(#"{"bos_token": "a"}"#, map: map)
        #expect(tokenizer.bosToken == 1 && tokenizer.eosToken == 2)
        #expect(tokenizer.isSpecialToken(1) && tokenizer.isSpecialToken(2))
        #expect(try tokenizer.encode("a<s></s>") == [0, 1, 2])
        #expect(try tokenizer.decode([1, 0, 2]) == "a")
    }

    @Test func aListInTheConfigurationComesBeforeOtherFiles() throws {
        let configuration = """
            {"eos_token": "</s>", "added_tokens_decoder": {"8": {"content": "<y>", "special": true},
             "3": {"content": "<x>", "special": true}, "9": {"content": "</s>"}, "0": {"content": "<z>"}}}
            """
        let tokenizer = try tokenizer(configuration, map: #"{"eos_token": "a"}"#, added: #"{"<w>": 10}"#)
        #expect(tokenizer.eosToken == 2)
        #expect(try tokenizer.encode("<y>a<x></s>") == [8, 0, 3, 2])
        #expect(tokenizer.isSpecialToken(3) && tokenizer.isSpecialToken(8) && !tokenizer.isSpecialToken(2))
        #expect(tokenizer.id(for: "<z>") == nil && tokenizer.id(for: "<w>") == nil)
    }

    @Test func addedTokensFile() throws {
        let tokenizer = try tokenizer(
            #"{"additional_special_tokens": ["<w>", "<nowhere>"]}"#, added: #"{"<w>": 9, "<v>": 8}"#)
        #expect(try tokenizer.encode("<w>a<v>") == [9, 0, 8])
        #expect(tokenizer.isSpecialToken(9) && !tokenizer.isSpecialToken(8))
        #expect(tokenizer.vocabularySize == 10)
    }

    @Test(arguments: [#"{"added_tokens_decoder": {"x": {"content": "a"}}}"#, #"{"added_tokens_decoder": []}"#, "[]"])
    func malformedLists(configuration: String) {
        #expect(throws: TokenizerError.self) { try tokenizer(configuration) }
    }
}
