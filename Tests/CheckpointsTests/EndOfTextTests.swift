import Checkpoints
import Foundation
import Support
import TestSupport
import Testing

/// Which tokens end a text, in all the places where folders and files say so.
@Suite struct EndOfTextTests {
    /// The end tokens of a model with these files; its vocabulary has 256 tokens.
    private func ends(_ config: JSONObject = [:], _ files: [String: String] = [:]) throws -> [Int] {
        let folder = try TemporaryFolder()
        try folder.write("model.safetensors", safetensors("{}"))
        guard var json = try JSONValue(file: fixture("llama/config.json")).objectValue else { return [] }
        json["eos_token_id"] = nil
        for (key, value) in config.pairs { json[key] = value }
        try folder.write("config.json", JSONValue.object(json).text())
        for (name, text) in files { try folder.write(name, text) }
        return try ModelFiles.open(folder.path).configuration.eosTokens
    }

    @Test func listsOfBothConfigurations() throws {
        #expect(try ends(["eos_token_id": [3, 4]]) == [3, 4])
        let list = ["generation_config.json": #"{"eos_token_id": [7, 3, 9]}"#]
        #expect(try ends(["eos_token_id": 3], list) == [3, 7, 9])
        #expect(try ends(["eos_token_id": .null], ["generation_config.json": #"{"eos_token_id": 7}"#]) == [7])
    }

    /// 2 stands for an absent key, and must not end texts of a model that says otherwise elsewhere.
    @Test func theDefaultGivesWay() throws {
        #expect(try ends() == [2])
        #expect(try ends([:], ["generation_config.json": #"{"eos_token_id": [7]}"#]) == [7])
        #expect(try ends([:], ["generation_config.json": #"{"temperature": 1}"#]) == [2])
        #expect(try ends([:], ["tokenizer_config.json": #"{"eos_token": "<end>"}"#]) == [])
    }

    @Test func theMapOfSpecialTokens() throws {
        let map = #"{"eos_token": {"content": "<turn>", "lstrip": false}}"#
        let decoder = #"{"eos_token": "<end>", "added_tokens_decoder": {"9": {"content": "<turn>"}}}"#
        let files = ["special_tokens_map.json": map, "tokenizer_config.json": decoder]
        #expect(try ends(["eos_token_id": 3], files) == [3, 9])
        let added = ["special_tokens_map.json": map, "added_tokens.json": #"{"<turn>": 11}"#]
        #expect(try ends(["eos_token_id": 3], added) == [3, 11])
        let tokenizer = #"{"added_tokens": [{"id": 12, "content": "<turn>"}], "model": {"vocab": {}}}"#
        let vocabulary = ["special_tokens_map.json": map, "tokenizer.json": tokenizer]
        #expect(try ends(["eos_token_id": 3], vocabulary) == [3, 12])
        // That of the tokenizer comes with the tokenizer.
        let same = ["special_tokens_map.json": map, "tokenizer_config.json": #"{"eos_token": "<turn>"}"#]
        #expect(try ends(["eos_token_id": 3], same) == [3])
    }

    @Test func idsOutsideTheVocabularyAreNone() throws {
        #expect(try ends(["eos_token_id": -1]) == [])
        #expect(try ends(["eos_token_id": [3, 100_000]], ["generation_config.json": #"{"eos_token_id": -1}"#]) == [3])
        #expect(try ends(["eos_token_id": 3, "pad_token_id": 100_000, "bos_token_id": 100_000]) == [3])
    }
}
