import Generation
import Support
import Tokenizers

/// The fields of a POST to /v1/chat/completions.
enum ChatRequest {
    static func plan(_ fields: inout RequestFields, _ service: ModelService) throws -> GenerationPlan {
        try service.checkModel(&fields)
        let prompt = try ChatPrompt(&fields, service)
        let logprobs = try fields.bool("logprobs") ?? false
        let top = try fields.integer("top_logprobs", 0...SequenceRequest.mostAlternatives)
        guard logprobs || top == nil || top == 0 else {
            throw APIError.invalid("top_logprobs", "top_logprobs: expected together with logprobs")
        }
        let most = service.options.maximumTokens
        let older = try fields.integer("max_tokens", 1...most)
        let limit = try fields.integer("max_completion_tokens", 1...most) ?? older ?? most
        let sampling = try SamplingFields(&fields, service)
        let stream = try StreamFields(&fields)
        try fields.refuse(["tools", "functions"], unless: [[]])
        try fields.refuse(["tool_choice", "function_call"], unless: ["none"])
        try fields.refuse(["parallel_tool_calls"], unless: [true, false])
        try fields.refuse(["response_format"], unless: [["type": "text"]])
        try fields.refuse(["modalities"], unless: [["text"]])
        try fields.refuse([
            "audio", "prediction", "reasoning_effort", "verbosity", "web_search_options", "guided_json", "guided_regex",
            "guided_choice", "guided_grammar", "grammar", "json_schema",
        ])
        fields.ignore(["user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key"])
        try fields.finish()
        var request = try service.request(prompt.tokens, sampling, limit: limit, moreStops: prompt.stops)
        request.alternatives = logprobs ? top ?? 0 : nil
        request.boundaries = prompt.boundaries
        return GenerationPlan(
            requests: [request], form: ChatForm(logprobs: logprobs, texts: TokenTexts(tokenizer: service.tokenizer)),
            isStreamed: stream.isStreamed, includesUsage: stream.includesUsage,
            tellsTimings: stream.tellsTimings)
    }
}

/// The messages of a conversation as tokens, up to where the answer begins.
struct ChatPrompt {
    let tokens: [Int32]
    /// Numbers of tokens after which messages end that others may stand behind.
    let boundaries: [Int]
    /// Strings that end an answer beside what the client asks for.
    let stops: [String]

    /// The most messages of a conversation.
    static let mostMessages = 10_000

    init(_ fields: inout RequestFields, _ service: ModelService) throws {
        guard let values = try fields.array("messages"), !values.isEmpty, values.count <= Self.mostMessages else {
            throw APIError.invalid("messages", "messages: expected an array of 1 to \(Self.mostMessages) messages")
        }
        let messages = try values.enumerated().map { try Self.message($1, in: "messages[\($0)].") }
        let variables = try fields.object("chat_template_kwargs") ?? JSONObject()
        let format = ChatFormat(service.tokenizer)
        stops = format.stops
        switch format {
        case .template:
            let objects = messages.map { message in
                JSONValue.object(
                    JSONObject([("role", .string(message.role)), ("content", .string(message.content))] + message.more))
            }
            let values = Dictionary(variables.pairs.map { ($0.key, $0.value) }) { $1 }
            let text = try service.tokenizer.renderChat(messages: objects, variables: values)
            tokens = try service.tokenizer.encode(text ?? "", addSpecialTokens: false)
            boundaries = MessageEnds.find(objects.count, in: tokens, service.tokenizer) { count in
                try service.tokenizer.renderChat(
                    messages: Array(objects[..<count]), addGenerationPrompt: false, variables: values)
            }
        case .plain:
            guard variables.count == 0 else {
                throw APIError.unsupported("chat_template_kwargs", "has no use: the model has no chat template")
            }
            boundaries = []
            tokens = try format.tokens(
                messages.map { ChatMessage(ChatMessage.Role(rawValue: $0.role) ?? .user, $0.content) },
                service.tokenizer)
        }
    }

    private static func message(_ value: JSONValue, in place: String) throws -> Message {
        guard let object = value.objectValue else {
            let field = String(place.dropLast())
            throw APIError.invalid(
                field, "\(field): expected an object, found \(ForeignText.line(value.summary, limit: 80))")
        }
        var fields = RequestFields(object, in: place)
        let roles = ["system", "developer", "user", "assistant"]
        guard let role = try fields.string("role"), roles.contains(role) else {
            throw APIError.invalid(place + "role", "\(place)role: expected \(roles.joined(separator: ", "))")
        }
        let content = try content(&fields, place)
        try fields.refuse(["tool_calls", "function_call", "tool_call_id", "audio"], unless: [[]])
        let more = try ["name", "reasoning_content", "reasoning"].compactMap { name in
            try fields.string(name).map { (name, JSONValue.string($0)) }
        }
        // What an answer has beside its text.
        try fields.refuse(["refusal"])
        try fields.refuse(["annotations"], unless: [[]])
        try fields.finish()
        return Message(role: role == "developer" ? "system" : role, content: content, more: more)
    }

    /// A message; `more` is what a template may read beside its text.
    private struct Message {
        var role: String
        var content: String
        var more: [(String, JSONValue)]
    }

    private static func content(_ fields: inout RequestFields, _ place: String) throws -> String {
        switch fields.value("content") {
        case .string(let text): return text
        case .array(let parts):
            return try parts.enumerated().map { index, part in
                let name = "\(place)content[\(index)]"
                guard let object = part.objectValue else {
                    throw APIError.invalid(name, "\(name): expected an object")
                }
                var fields = RequestFields(object, in: name + ".")
                guard try fields.string("type") == "text", let text = try fields.string("text") else {
                    throw APIError.unsupported(name, "is not supported: only parts of type text are")
                }
                try fields.finish()
                return text
            }.joined()
        default: throw APIError.invalid(place + "content", "\(place)content: expected a string or parts of text")
        }
    }
}
