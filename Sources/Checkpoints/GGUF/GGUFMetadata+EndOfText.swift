import Support

extension GGUFMetadata {
    /// What ends a turn in the templates that llama.cpp knows; files older than the key of such a token do not say it.
    private static let turnEnds: Set<String> = [
        "<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<|eom_id|>", "<EOT>", "_<EOT>",
        "<|end_of_text|>", "<end_of_utterance>", "<｜end▁of▁sentence｜>",
    ]
    private static let control = 3

    /// The ids of tokens that end a text (eos), a turn (eot) or a message (eom), the first first. Where a file has a chat
    /// template and does not say what ends a turn, control tokens that end one by their names, as in llama.cpp.
    func endTokens() throws -> [Int] {
        var tokens = try ["eos", "eot", "eom"].compactMap { try integer("tokenizer.ggml.\($0)_token_id") }
        if self["tokenizer.chat_template"] != nil, self["tokenizer.ggml.eot_token_id"] == nil,
            let types = try integers("tokenizer.ggml.token_type"), let texts = try strings("tokenizer.ggml.tokens")
        {
            tokens += zip(texts, types).enumerated().compactMap { id, token in
                token.1 == Self.control && Self.turnEnds.contains(token.0) ? id : nil
            }
        }
        var seen: Set<Int> = []
        return tokens.filter { seen.insert($0).inserted }
    }

    /// The sampling that the file recommends, under the keys of generation_config.json; nil when there is none.
    func generationConfiguration() throws -> JSONObject? {
        var json = JSONObject()
        for (key, stored) in [
            ("temperature", "temp"), ("top_p", "top_p"), ("min_p", "min_p"), ("repetition_penalty", "penalty_repeat"),
        ] {
            json[key] = try number("general.sampling.\(stored)").map { .number($0) }
        }
        json["top_k"] = try integer("general.sampling.top_k").map { .integer($0) }
        guard json.count > 0 else { return nil }
        json["do_sample"] = true
        return json
    }
}
