import Generation
import Support
import Tokenizers

/// The fields of a POST to /v1/completions.
enum CompletionRequest {
    /// The most prompts of a request.
    static let mostPrompts = 1024

    static func plan(_ fields: inout RequestFields, _ service: ModelService) throws -> GenerationPlan {
        let addsTokens = try fields.bool("add_special_tokens") ?? true
        let prompts = try prompts(&fields, service, addsTokens)
        let echoes = try fields.bool("echo") ?? false
        let logprobs = try fields.integer("logprobs", 0...SequenceRequest.mostAlternatives)
        let limit =
            try fields.integer("max_tokens", (echoes ? 0 : 1)...service.options.maximumTokens)
            ?? min(16, service.options.maximumTokens)
        let sampling = try SamplingFields(&fields, service)
        let stream = try StreamFields(&fields)
        try fields.refuse(["suffix"], unless: [""])
        try fields.refuse(["best_of"], unless: [.integer(sampling.samplers.count)], "is not supported but as n")
        fields.ignore(["user"])
        try fields.finish()
        guard !(echoes && logprobs != nil && stream.isStreamed) else {
            throw APIError.unsupported("stream", "is not supported together with echo and logprobs")
        }
        let requests = try prompts.map { prompt in
            var request = try service.request(prompt.tokens, sampling, limit: limit)
            request.alternatives = logprobs
            request.promptAlternatives = echoes && (logprobs != nil || limit == 0) ? logprobs ?? 0 : nil
            return request
        }
        return GenerationPlan(
            requests: requests,
            form: CompletionForm(
                prompts: prompts, echoes: echoes, logprobs: logprobs, texts: TokenTexts(tokenizer: service.tokenizer)),
            isStreamed: stream.isStreamed, includesUsage: stream.includesUsage,
            tellsTimings: stream.tellsTimings)
    }

    private static func prompts(
        _ fields: inout RequestFields, _ service: ModelService, _ addsTokens: Bool
    ) throws -> [CompletionForm.Prompt] {
        guard let value = fields.value("prompt") else {
            throw APIError.invalid("prompt", "prompt: expected a string, token ids, or an array of them, found none")
        }
        let prompts: [CompletionForm.Prompt]
        switch value {
        case .string(let text): prompts = [try prompt(text, service, addsTokens)]
        case .array(let values) where !values.isEmpty && values.allSatisfy({ $0.integerValue != nil }):
            prompts = [try prompt(values, service)]
        case .array(let values) where !values.isEmpty && values.count <= mostPrompts:
            prompts = try values.map { value in
                switch value {
                case .string(let text): try prompt(text, service, addsTokens)
                case .array(let ids): try prompt(ids, service)
                default: throw fields.mistake("prompt", "strings or arrays of token ids", value)
                }
            }
        default:
            throw fields.mistake(
                "prompt", "a string, token ids, or an array of 1 to \(mostPrompts) of them", value)
        }
        return prompts
    }

    private static func prompt(
        _ text: String, _ service: ModelService, _ addsTokens: Bool
    ) throws -> CompletionForm.Prompt {
        let tokenizer = service.tokenizer
        let prefix = addsTokens ? tokenizer.textPrefix : []
        let tokens = try prefix + tokenizer.encode(text, addSpecialTokens: false)
        guard !tokens.isEmpty else {
            // As nothing can be continued without a token.
            guard let first = tokenizer.bosToken ?? tokenizer.eosToken else { throw GenerationError.emptyPrompt }
            return .init(tokens: [first], text: text, added: 1)
        }
        return .init(tokens: tokens, text: text, added: prefix.count)
    }

    private static func prompt(_ values: [JSONValue], _ service: ModelService) throws -> CompletionForm.Prompt {
        let tokens = try values.map { value in
            guard let id = value.integerValue, (0..<service.vocabularySize).contains(id) else {
                throw APIError.invalid(
                    "prompt",
                    "prompt: expected token ids below \(service.vocabularySize), found \(ForeignText.line(value.summary, limit: 80))"
                )
            }
            return Int32(id)
        }
        guard !tokens.isEmpty else { throw GenerationError.emptyPrompt }
        return .init(
            tokens: tokens, text: try service.tokenizer.decode(tokens, skipSpecialTokens: false), added: 0)
    }
}

/// The fields that say whether an answer is streamed.
struct StreamFields {
    let isStreamed: Bool
    let includesUsage: Bool
    let tellsTimings: Bool

    init(_ fields: inout RequestFields) throws {
        isStreamed = try fields.bool("stream") ?? false
        tellsTimings = try fields.bool("timings_per_token") ?? false
        guard let object = try fields.object("stream_options") else {
            includesUsage = false
            return
        }
        var options = RequestFields(object, in: "stream_options.")
        includesUsage = try options.bool("include_usage") ?? false
        options.ignore(["include_obfuscation"])
        try options.finish()
    }
}
