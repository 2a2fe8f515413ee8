import Foundation
import Generation
import Support
import Tokenizers

/// /tokenize, /detokenize and /tokenizer_info: with the fields of vLLM's and of llama-server's.
enum TokenizerEndpoints {
    static func tokenize(_ fields: inout RequestFields, _ service: ModelService) throws -> JSONValue {
        let tokenizer = service.tokenizer
        let names = try fields.bool("return_token_strs") ?? false
        let pieces = try fields.bool("with_pieces") ?? false
        let tokens = try tokens(&fields, service)
        // Special tokens that stand in the text are always such.
        try fields.refuse(["parse_special"], unless: [true])
        try fields.finish()
        let texts = TokenTexts(tokenizer: tokenizer)
        let ids = tokens.map { id -> JSONValue in
            pieces ? ["id": .integer(Int(id)), "piece": .string(texts.name(id))] : .integer(Int(id))
        }
        return [
            "tokens": .array(ids), "count": .integer(tokens.count),
            "max_model_len": .integer(service.options.maximumPrompt),
            "token_strs": names ? .array(tokens.map { .string(tokenizer.token(for: $0) ?? "") }) : .null,
        ]
    }

    /// The ids of messages, or of a text.
    static func tokens(_ fields: inout RequestFields, _ service: ModelService) throws -> [Int32] {
        let adds = try fields.bool("add_special_tokens")
        let addsOther = try fields.bool("add_special")
        guard fields.value("messages") == nil else {
            fields.ignore(["prompt", "content", "add_generation_prompt"])
            return try ChatPrompt(&fields, service).tokens
        }
        // vLLM adds them unless asked not to, llama-server where it is asked to.
        let (prompt, content) = (try fields.string("prompt"), try fields.string("content"))
        guard let text = prompt ?? content else {
            throw APIError.invalid("prompt", "prompt: expected a string, or messages, found none")
        }
        let special = adds ?? addsOther ?? (prompt != nil)
        return try (special ? service.tokenizer.textPrefix : [])
            + service.tokenizer.encode(text, addSpecialTokens: false)
    }

    static func detokenize(_ fields: inout RequestFields, _ service: ModelService) throws -> JSONValue {
        guard let values = try fields.array("tokens") else {
            throw APIError.invalid("tokens", "tokens: expected an array of token ids, found none")
        }
        try fields.finish()
        let tokens = try values.map { value in
            guard let id = value.integerValue, (0..<service.vocabularySize).contains(id) else {
                throw fields.mistake("tokens", "token ids below \(service.vocabularySize)", value)
            }
            return Int32(id)
        }
        let text = try service.tokenizer.decode(tokens, skipSpecialTokens: false)
        return ["prompt": .string(text), "content": .string(text)]
    }

    static func information(_ service: ModelService) throws -> JSONValue {
        let tokenizer = service.tokenizer
        var object = JSONObject()
        if let data = tokenizer.huggingFaceFiles.configuration,
            let configuration = try JSONValue(parsing: data, .foreign).objectValue
        {
            object = configuration
        }
        let name = object["tokenizer_class"] ?? "PreTrainedTokenizerFast"
        object["tokenizer_class"] = name
        for (key, id) in [
            ("bos_token", tokenizer.bosToken), ("eos_token", tokenizer.eosToken),
            ("pad_token", tokenizer.paddingToken), ("unk_token", tokenizer.unknownToken),
        ] {
            object[key] = id.flatMap { tokenizer.token(for: $0) }.map { .string($0) } ?? .null
        }
        object["chat_template"] = tokenizer.chatTemplate.map { .string($0) } ?? .null
        return .object(object)
    }
}
