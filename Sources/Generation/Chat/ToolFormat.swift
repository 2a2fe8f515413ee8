import Support
import Tokenizers

/// How a family of models writes calls of functions.
public enum ToolFormat: Sendable, Equatable {
    /// `<tool_call>{"name": …, "arguments": {…}}</tool_call>`: Hermes, Qwen.
    case hermes
    /// `{"name": …, "parameters": {…}}` and nothing else: Llama 3.1 and later.
    case llama
    /// `[TOOL_CALLS][{"name": …, "arguments": {…}}]`: Mistral.
    case mistral
    /// As Hermes, for a model whose template knows nothing of tools: they are described before the conversation.
    case described

    /// The format of the model whose chat template `tokenizer` has.
    public init(_ tokenizer: Tokenizer) {
        guard let template = tokenizer.chatTemplate, template.contains("tools") else {
            self = .described
            return
        }
        if template.contains("[TOOL_CALLS]") {
            self = .mistral
        } else if !template.contains("<tool_call>"), template.contains("\"parameters\":") {
            self = .llama
        } else {
            self = .hermes
        }
    }

    /// The most calls that an answer may be made to have.
    public static let mostCalls = 8

    static let opening = "<tool_call>"
    static let closing = "</tool_call>"

    /// The name under which arguments stand.
    private var argumentsKey: String { self == .llama ? "parameters" : "arguments" }

    /// An answer that is one call of one of `tools`, or several.
    public func form(_ tools: [ChatTool], severalCalls: Bool, names: [String]) -> TextForm {
        let call = call(tools, names)
        let most = severalCalls ? Self.mostCalls : 1
        switch self {
        case .hermes, .described:
            let whole = TextForm.sequence([.text(Self.opening + "\n"), call, .text("\n" + Self.closing)])
            return .repeated(whole, separator: "\n", most: most)
        case .llama: return .repeated(call, separator: "; ", most: most)
        case .mistral:
            return .sequence([.text("["), .repeated(call, separator: ", ", most: most), .text("]")])
        }
    }

    /// What a call is to be once a model has begun it of itself, and the text that begins it; nil where no text does.
    public func begunForm(_ tools: [ChatTool], names: [String]) -> (form: TextForm, after: String)? {
        guard self == .hermes || self == .described else { return nil }
        let line = TextForm.choice([.text("\n"), .text("")])
        return (.sequence([line, call(tools, names), line, .text(Self.closing)]), Self.opening)
    }

    /// - Parameter names: where each tool's schema stands, for errors.
    private func call(_ tools: [ChatTool], _ names: [String]) -> TextForm {
        .choice(
            zip(tools, names).map { tool, name in
                .sequence([
                    .text("{\"name\": \(JSONValue.string(tool.name).text()), \"\(argumentsKey)\": "),
                    .schema(tool.parameters, name: name), .text("}"),
                ])
            })
    }

    // MARK: Templates without tools

    /// What a model is told of `tools` where its template does not.
    static func description(of tools: [ChatTool]) -> String {
        """
        You can call functions. To call one, answer with its name and arguments as JSON, in this form:
        \(opening)
        {"name": "NAME", "arguments": {"ARGUMENT": "VALUE"}}
        \(closing)
        The functions are:
        \(tools.map { ($0.description["function"] ?? $0.description).text() }.joined(separator: "\n"))
        """
    }

    /// Messages for a template that knows nothing of tools: what is told of `tools` stands in the system's message, calls in the text of
    /// answers, and their results are the user's.
    public static func described(_ messages: [JSONObject], _ tools: [ChatTool]) -> [JSONObject] {
        var messages = messages.map { message -> JSONObject in
            var message = message
            let content = message["content"]?.stringValue ?? ""
            if message["role"] == "tool" {
                return ["role": "user", "content": .string("<tool_response>\n\(content)\n</tool_response>")]
            }
            guard let calls = message["tool_calls"]?.arrayValue else { return message }
            let texts = calls.map { call in
                let (name, arguments) = (call["function"]?["name"] ?? .null, call["function"]?["arguments"] ?? .null)
                return "\(opening)\n{\"name\": \(name.text()), \"arguments\": \(arguments.text())}\n\(closing)"
            }
            message["tool_calls"] = nil
            message["content"] = .string(([content] + texts).filter { !$0.isEmpty }.joined(separator: "\n"))
            return message
        }
        guard !tools.isEmpty else { return messages }
        let text = description(of: tools)
        if messages.first?["role"] == "system" {
            messages[0]["content"] = .string("\(messages[0]["content"]?.stringValue ?? "")\n\n\(text)")
        } else {
            messages.insert(["role": "system", "content": .string(text)], at: 0)
        }
        return messages
    }
}
