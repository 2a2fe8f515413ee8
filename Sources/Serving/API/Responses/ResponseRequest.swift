import Generation
import Support

/// What a POST to /v1/responses asks for, understood and checked.
struct ResponsePlan: Sendable {
    var request: SequenceRequest
    /// The conversation up to the question, without instructions, as templates read it.
    var messages: [JSONObject]
    /// The text of the prompt.
    var rendered: String
    /// What the response repeats of the request.
    var echo: JSONObject
    /// How the model writes calls of functions; nil where it is given none.
    var toolFormat: ToolFormat?
    var isStored: Bool
    var isStreamed: Bool
}

/// The fields of a POST to /v1/responses.
enum ResponseRequest {
    /// - Parameter previous: the response that the request names as the one it goes on from.
    static func plan(
        _ fields: inout RequestFields, previous: (id: String, record: ResponseRecord)?, _ service: ModelService
    ) throws -> ResponsePlan {
        let messages = try ResponseInput.messages(&fields, after: previous?.record.messages ?? [])
        let instructions = try fields.string("instructions")
        let output = try OutputFields(&fields, .responses, service)
        let most = service.options.maximumTokens
        let limit = try fields.integer("max_output_tokens", 1...most)
        let sampling = try SamplingFields(&fields, service)
        guard sampling.samplers.count == 1 else { throw APIError.unsupported("n", "is 1 for a response") }
        if output.constraint?.isActive == true, !sampling.strings.isEmpty {
            throw APIError.unsupported("stop", "is not supported where the answer is bound by a schema")
        }
        let isStored = try fields.bool("store") ?? true
        let isStreamed = try fields.bool("stream") ?? false
        let metadata = try fields.object("metadata") ?? JSONObject()
        try refuse(&fields)
        var echo: JSONObject = [
            "instructions": instructions.map { .string($0) } ?? .null,
            "max_output_tokens": limit.map { .integer($0) } ?? .null, "metadata": .object(metadata),
            "previous_response_id": previous.map { .string($0.id) } ?? .null, "store": .bool(isStored),
            "temperature": TokenTexts.number(sampling.samplers[0].options.temperature),
            "top_p": TokenTexts.number(sampling.samplers[0].options.topP),
            "text": ["format": fields.value("text")?["format"] ?? ["type": "text"]],
        ]
        for (name, usual) in [("tools", []), ("tool_choice", "auto"), ("parallel_tool_calls", true)]
            as [(String, JSONValue)]
        {
            echo[name] = fields.value(name) ?? usual
        }
        try fields.finish()

        // Instructions are those of this request alone, as OpenAI's API has it.
        let all = (instructions.map { [["role": "system", "content": .string($0)]] } ?? []) + messages
        let prompt = try ChatPrompt(all, service, tools: output.tools, after: previous?.record)
        var request = try service.request(prompt.tokens, sampling, limit: limit ?? most, moreStops: prompt.stops)
        request.isDurable = isStored
        request.boundaries = prompt.boundaries
        request.constraint = output.constraint
        return ResponsePlan(
            request: request, messages: messages, rendered: prompt.rendered, echo: echo, toolFormat: output.toolFormat,
            isStored: isStored, isStreamed: isStreamed)
    }

    /// What is not done, but for values that ask for nothing.
    private static func refuse(_ fields: inout RequestFields) throws {
        try fields.refuse(["include"], unless: [[]])
        try fields.refuse(["background"], unless: [false])
        try fields.refuse(["truncation"], unless: ["disabled", "auto"])
        try fields.refuse(["top_logprobs"], unless: [0])
        try fields.refuse(["reasoning"], unless: [[:]])
        try fields.refuse(["stream_options"], unless: [[:], ["include_obfuscation": false]])
        try fields.refuse(["conversation", "prompt", "max_tool_calls"])
        fields.ignore(["user", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"])
    }
}
