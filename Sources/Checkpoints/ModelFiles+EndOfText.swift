import Foundation
import Support

/// Where Hugging Face's folders say which tokens end a text. Models that follow instructions often list the token that ends
/// an answer in one of these places alone.
extension ModelFiles {
    /// The ids of config.json and generation_config.json together, then of the tokenizer's files where they have others.
    func endTokens(_ generation: JSONObject?) throws -> [Int] {
        var tokens = configuration.eosTokens
        let own = Self.content(try object("tokenizer_config.json")?["eos_token"])
        // What stands for an absent key is right for nothing that another file says otherwise.
        if configuration.json["eos_token_id"] == nil, generation?["eos_token_id"] != nil || own != nil { tokens = [] }
        if let generation, let file = file("generation_config.json") {
            let reader = ConfigurationReader(object: generation, file: file)
            tokens += try reader.tokens("eos_token_id", below: configuration.vocabularySize, default: [])
        }
        tokens += try endTokenOfMap()
        var seen: Set<Int> = []
        return tokens.filter { seen.insert($0).inserted }
    }

    /// The end token of special_tokens_map.json, where that of tokenizer_config.json, which comes with the tokenizer, is
    /// another one.
    private func endTokenOfMap() throws -> [Int] {
        guard let text = Self.content(try object("special_tokens_map.json")?["eos_token"]) else { return [] }
        let tokenizer = try object("tokenizer_config.json")
        guard text != Self.content(tokenizer?["eos_token"]) else { return [] }
        let decoder = tokenizer?["added_tokens_decoder"]?.objectValue?.pairs ?? []
        let added = try object("added_tokens.json")?.objectValue?[text]?.integerValue
        let id =
            try decoder.first { Self.content($0.value) == text }.flatMap { Int($0.key) } ?? added
            ?? endToken(text, of: object("tokenizer.json"))
        return id.map { (0..<configuration.vocabularySize).contains($0) ? [$0] : [] } ?? []
    }

    private func object(_ name: String) throws -> JSONValue? { try file(name).map { try JSONValue(file: $0) } }

    /// A token that is written as text or as an object with the text.
    private static func content(_ value: JSONValue?) -> String? { value?.stringValue ?? value?["content"]?.stringValue }

    private func endToken(_ text: String, of tokenizer: JSONValue?) -> Int? {
        let added = tokenizer?["added_tokens"]?.arrayValue?.first { $0["content"]?.stringValue == text }
        return added?["id"]?.integerValue ?? tokenizer?["model"]?["vocab"]?[text]?.integerValue
    }
}
