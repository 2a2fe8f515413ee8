import Foundation
import Generation
import Support
import Tokenizers

/// What a POST to /v1/responses asks for, understood and checked.
struct ResponsePlan: Sendable {
    var request: SequenceRequest
    /// The conversation up to the question, without instructions.
    var messages: [ChatMessage]
    /// The text of the prompt.
    var rendered: String
    /// What the response repeats of the request.
    var echo: JSONObject
    var isStored: Bool
    var isStreamed: Bool
}

/// The fields of a POST to /v1/responses.
enum ResponseRequest {
    /// - Parameter previous: the response that the request names as the one it goes on from.
    static func plan(
        _ fields: inout RequestFields, previous: (id: String, record: ResponseRecord)?, _ service: ModelService
    ) throws -> ResponsePlan {
        let new = try input(&fields)
        let instructions = try fields.string("instructions")
        let most = service.options.maximumTokens
        let limit = try fields.integer("max_output_tokens", 1...most)
        let sampling = try SamplingFields(&fields, service)
        guard sampling.samplers.count == 1 else { throw APIError.unsupported("n", "is 1 for a response") }
        let isStored = try fields.bool("store") ?? true
        let isStreamed = try fields.bool("stream") ?? false
        let metadata = try fields.object("metadata") ?? JSONObject()
        try refuse(&fields)
        try fields.finish()

        let format = ChatFormat(service.tokenizer)
        let messages = (previous?.record.messages ?? []) + new
        // Instructions are those of this request alone, as OpenAI's API has it.
        let all = (instructions.map { [ChatMessage(.system, $0)] } ?? []) + messages
        let rendered = try format.render(all, service.tokenizer)
        let tokens: [Int32]
        var boundaries: [Int] = []
        if let (read, rest) = previous?.record.continuation(of: rendered) {
            tokens = try read + service.tokenizer.encode(continuing: rest)
        } else {
            tokens = try format.encode(rendered, service.tokenizer)
            if case .template = format {
                boundaries = MessageEnds.find(all.count, in: rendered, tokens, service.tokenizer) { count in
                    try service.tokenizer.renderChat(
                        messages: all[..<count].map {
                            ["role": .string($0.role.rawValue), "content": .string($0.content)]
                        }, addGenerationPrompt: false)
                }
            }
        }
        var request = try service.request(tokens, sampling, limit: limit ?? most, moreStops: format.stops)
        request.isDurable = isStored
        request.boundaries = boundaries
        let options = sampling.samplers[0].options
        return ResponsePlan(
            request: request, messages: messages, rendered: rendered,
            echo: [
                "instructions": instructions.map { .string($0) } ?? .null,
                "max_output_tokens": limit.map { .integer($0) } ?? .null, "metadata": .object(metadata),
                "previous_response_id": previous.map { .string($0.id) } ?? .null, "store": .bool(isStored),
                "temperature": TokenTexts.number(options.temperature),
                "top_p": TokenTexts.number(options.topP),
            ], isStored: isStored, isStreamed: isStreamed)
    }

    /// What is not done, but for values that ask for nothing.
    private static func refuse(_ fields: inout RequestFields) throws {
        try fields.refuse(["tools"], unless: [[]])
        try fields.refuse(["include"], unless: [[]])
        try fields.refuse(["tool_choice"], unless: ["none", "auto"])
        try fields.refuse(["parallel_tool_calls"], unless: [true, false])
        try fields.refuse(["background"], unless: [false])
        try fields.refuse(["truncation"], unless: ["disabled", "auto"])
        try fields.refuse(["top_logprobs"], unless: [0])
        try fields.refuse(["text"], unless: [[:], ["format": ["type": "text"]]])
        try fields.refuse(["reasoning"], unless: [[:]])
        try fields.refuse(["stream_options"], unless: [[:], ["include_obfuscation": false]])
        try fields.refuse(["conversation", "prompt", "max_tool_calls"])
        fields.ignore(["user", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"])
    }

    /// The new messages.
    private static func input(_ fields: inout RequestFields) throws -> [ChatMessage] {
        switch fields.value("input") {
        case .string(let text): return [ChatMessage(.user, text)]
        case .array(let items) where (1...ChatPrompt.mostMessages).contains(items.count):
            return try items.enumerated().map { try message($1, in: "input[\($0)]") }
        case nil: throw APIError.invalid("input", "input: expected a string or an array of messages, found none")
        case let other?: throw fields.mistake("input", "a string or an array of messages", other)
        }
    }

    private static func message(_ item: JSONValue, in place: String) throws -> ChatMessage {
        guard let object = item.objectValue else {
            throw APIError.invalid(place, "\(place): expected an object, found \(item.summary)")
        }
        var fields = RequestFields(object, in: place + ".")
        guard [nil, "message"].contains(try fields.string("type")) else {
            throw APIError.unsupported("\(place).type", "is not supported: only message is")
        }
        let names = ["system": "system", "developer": "system", "user": "user", "assistant": "assistant"]
        guard let name = try fields.string("role"), let role = names[name].flatMap(ChatMessage.Role.init(rawValue:))
        else {
            throw APIError.invalid("\(place).role", "\(place).role: expected system, developer, user or assistant")
        }
        // What an item of an earlier output has beside its text.
        fields.ignore(["id", "status", "phase"])
        let text = try MessageText.content(
            &fields, place + ".", types: ["input_text", "output_text", "text"], named: "input_text and output_text",
            ignored: ["annotations", "logprobs"])
        try fields.finish()
        return ChatMessage(role, text)
    }
}
