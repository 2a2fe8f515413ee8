import Generation
import Support

/// What `input` of a request to /v1/responses says: messages, calls of functions and what those have given.
enum ResponseInput {
    /// The conversation, as templates read it: `earlier` and what `input` has.
    static func messages(_ fields: inout RequestFields, after earlier: [JSONObject]) throws -> [JSONObject] {
        switch fields.value("input") {
        case .string(let text): return earlier + [["role": "user", "content": .string(text)]]
        case .array(let items) where (1...ChatPrompt.mostMessages).contains(items.count):
            var messages = earlier
            for (index, item) in items.enumerated() { try add(item, in: "input[\(index)]", to: &messages) }
            return messages
        case nil: throw APIError.invalid("input", "input: expected a string or an array of messages, found none")
        case let other?: throw fields.mistake("input", "a string or an array of messages", other)
        }
    }

    private static func add(_ item: JSONValue, in place: String, to messages: inout [JSONObject]) throws {
        guard let object = item.objectValue else {
            throw APIError.invalid(
                place, "\(place): expected an object, found \(ForeignText.line(item.summary, limit: 80))")
        }
        var fields = RequestFields(object, in: place + ".")
        switch try fields.string("type") {
        case nil, "message": messages.append(try message(&fields, place))
        case "function_call":
            let call = try call(&fields)
            // Calls stand with the answer that made them.
            if messages.last?["role"] == "assistant" {
                let calls = messages[messages.count - 1]["tool_calls"]?.arrayValue ?? []
                messages[messages.count - 1]["tool_calls"] = .array(calls + [call])
            } else {
                messages.append(["role": "assistant", "content": "", "tool_calls": [call]])
            }
        case "function_call_output":
            let id = try string(&fields, "call_id")
            let text = try MessageText.content(
                &fields, place + ".", field: "output", types: ["input_text"], named: "input_text")
            messages.append(["role": "tool", "content": .string(text), "tool_call_id": .string(id)])
        default:
            throw APIError.unsupported(
                "\(place).type", "is not supported: only message, function_call and function_call_output are")
        }
        // What an item of an earlier output has beside that.
        fields.ignore(["id", "status", "phase"])
        try fields.finish()
    }

    private static func message(_ fields: inout RequestFields, _ place: String) throws -> JSONObject {
        let roles = ["system": "system", "developer": "system", "user": "user", "assistant": "assistant"]
        guard let name = try fields.string("role"), let role = roles[name] else {
            throw APIError.invalid("\(place).role", "\(place).role: expected system, developer, user or assistant")
        }
        let text = try MessageText.content(
            &fields, place + ".", types: ["input_text", "output_text", "text"], named: "input_text and output_text",
            ignored: ["annotations", "logprobs"])
        return ["role": .string(role), "content": .string(text)]
    }

    private static func call(_ fields: inout RequestFields) throws -> JSONValue {
        let id = try string(&fields, "call_id")
        return ChatPrompt.call(try fields.name(), try string(&fields, "arguments"), id: id)
    }

    private static func string(_ fields: inout RequestFields, _ name: String) throws -> String {
        guard let text = try fields.string(name) else {
            let field = fields.prefix + name
            throw APIError.invalid(field, "\(field): expected a string, found none")
        }
        return text
    }
}
