import Generation
import Support
import Tokenizers

/// The fields of a POST to /v1/chat/completions.
enum ChatRequest {
    static func plan(_ fields: inout RequestFields, _ service: ModelService) throws -> GenerationPlan {
        let output = try OutputFields(&fields, .chat, service)
        let prompt = try ChatPrompt(&fields, service, tools: output.tools)
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
        // Those before tools.
        try fields.refuse(["functions"], unless: [[]])
        try fields.refuse(["function_call"], unless: ["none"])
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
        request.constraint = output.constraint
        if output.constraint?.isActive == true, !sampling.strings.isEmpty {
            throw APIError.unsupported("stop", "is not supported where the answer is bound by a schema")
        }
        return GenerationPlan(
            requests: [request],
            form: ChatForm(
                logprobs: logprobs, texts: TokenTexts(tokenizer: service.tokenizer), toolFormat: output.toolFormat),
            isStreamed: stream.isStreamed, includesUsage: stream.includesUsage,
            tellsTimings: stream.tellsTimings)
    }
}

/// The messages of a conversation as tokens, up to where the answer begins.
struct ChatPrompt {
    /// As text.
    let rendered: String
    let tokens: [Int32]
    /// Numbers of tokens after which messages end that others may stand behind.
    let boundaries: [Int]
    /// Strings that end an answer beside what the client asks for.
    let stops: [String]

    /// The most messages of a conversation.
    static let mostMessages = 10_000

    /// - Parameter tools: what the model is told that it may call.
    init(_ fields: inout RequestFields, _ service: ModelService, tools: [ChatTool] = []) throws {
        guard let values = try fields.array("messages"), !values.isEmpty, values.count <= Self.mostMessages else {
            throw APIError.invalid("messages", "messages: expected an array of 1 to \(Self.mostMessages) messages")
        }
        let messages = try values.enumerated().map { try Self.message($1, in: "messages[\($0)].") }
        let given = try fields.object("chat_template_kwargs") ?? JSONObject()
        guard given.count == 0 || service.tokenizer.chatTemplate != nil else {
            throw APIError.unsupported("chat_template_kwargs", "has no use: the model has no chat template")
        }
        let variables = Dictionary(given.pairs.map { ($0.key, $0.value) }) { $1 }
        try self.init(messages, service, tools: tools, variables: variables)
    }

    /// - Parameters:
    ///   - messages: as templates read them.
    ///   - variables: of the template.
    ///   - previous: what was answered before, whose tokens are gone on from where the conversation begins as it did.
    init(
        _ messages: [JSONObject], _ service: ModelService, tools: [ChatTool], variables: [String: JSONValue] = [:],
        after previous: ResponseRecord? = nil
    ) throws {
        let (tokenizer, format) = (service.tokenizer, ChatFormat(service.tokenizer))
        stops = format.stops
        var (messages, variables) = (messages, variables)
        if ToolFormat(tokenizer) == .described {
            messages = ToolFormat.described(messages, tools)
        } else if !tools.isEmpty {
            variables["tools"] = .array(tools.map(\.description))
        }
        let values = messages.map { JSONValue.object($0) }
        switch format {
        case .template: rendered = try tokenizer.renderChat(messages: values, variables: variables) ?? ""
        case .plain:
            rendered = try format.render(
                messages.map { message in
                    ChatMessage(
                        message["role"]?.stringValue.flatMap(ChatMessage.Role.init) ?? .user,
                        message["content"]?.stringValue ?? "")
                }, tokenizer)
        }
        if let (read, rest) = previous?.continuation(of: rendered) {
            tokens = try read + tokenizer.encode(continuing: rest)
            boundaries = []
            return
        }
        tokens = try format.encode(rendered, tokenizer)
        guard case .template = format else {
            boundaries = []
            return
        }
        boundaries = MessageEnds.find(values.count, in: rendered, tokens, tokenizer) { [variables] count in
            try tokenizer.renderChat(
                messages: Array(values[..<count]), addGenerationPrompt: false, variables: variables)
        }
    }

    /// A message as templates read it.
    private static func message(_ value: JSONValue, in place: String) throws -> JSONObject {
        guard let object = value.objectValue else {
            let field = String(place.dropLast())
            throw APIError.invalid(
                field, "\(field): expected an object, found \(ForeignText.line(value.summary, limit: 80))")
        }
        var fields = RequestFields(object, in: place)
        let roles = ["system", "developer", "user", "assistant", "tool"]
        guard let role = try fields.string("role"), roles.contains(role) else {
            throw APIError.invalid(place + "role", "\(place)role: expected \(roles.joined(separator: ", "))")
        }
        let calls = role == "assistant" ? try Self.calls(&fields, place) : []
        // An answer that is calls alone has no text.
        let text =
            calls.isEmpty || fields.value("content") != nil
            ? try MessageText.content(&fields, place, types: ["text"], named: "text") : ""
        var message: JSONObject = [
            "role": .string(role == "developer" ? "system" : role), "content": .string(text),
        ]
        if !calls.isEmpty { message["tool_calls"] = .array(calls) }
        if role == "tool", let id = try fields.string("tool_call_id") { message["tool_call_id"] = .string(id) }
        if role != "assistant" { try fields.refuse(["tool_calls"], unless: [[]]) }
        if role != "tool" { try fields.refuse(["tool_call_id"]) }
        try fields.refuse(["function_call", "audio"])
        for name in ["name", "reasoning_content", "reasoning"] {
            if let value = try fields.string(name) { message[name] = .string(value) }
        }
        // What an answer has beside its text.
        try fields.refuse(["refusal"])
        try fields.refuse(["annotations"], unless: [[]])
        try fields.finish()
        return message
    }

    /// The calls of an answer, their arguments as the objects that templates read.
    private static func calls(_ fields: inout RequestFields, _ place: String) throws -> [JSONValue] {
        try (fields.array("tool_calls") ?? []).enumerated().map { index, value in
            let field = "\(place)tool_calls[\(index)]"
            guard let object = value.objectValue else {
                throw APIError.invalid(field, "\(field): expected an object")
            }
            var call = RequestFields(object, in: field + ".")
            let id = try call.string("id")
            guard try call.string("type") ?? "function" == "function", let inner = try call.object("function") else {
                throw APIError.unsupported(field, "is not supported: only calls of functions are")
            }
            call.ignore(["index"])
            try call.finish()
            var function = RequestFields(inner, in: field + ".function.")
            guard let name = try function.string("name") else {
                throw APIError.invalid(
                    "\(field).function.name", "\(field).function.name: expected a string, found none")
            }
            let written = try function.string("arguments") ?? "{}"
            try function.finish()
            return Self.call(name, written, id: id)
        }
    }

    /// A call of a function as templates read it, the arguments as an object.
    static func call(_ name: String, _ arguments: String, id: String?) -> JSONValue {
        let object = (try? JSONValue(parsing: Array(arguments.utf8), .foreign)) ?? .string(arguments)
        var call: JSONObject = ["type": "function", "function": ["name": .string(name), "arguments": object]]
        if let id { call["id"] = .string(id) }
        return .object(call)
    }
}
