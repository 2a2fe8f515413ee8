import Support

/// A chat template: a Jinja program that turns the messages of a conversation into the text a model was trained on.
///
/// Jinja as Hugging Face transformers sets it up (`trim_blocks`, `lstrip_blocks`, loop controls, `generation` blocks, `tojson`
/// of its own, Python's values as Python writes them), without other templates: `include`, `import` and `extends` are
/// refused. A filter, test, function or method that is not known is an error when it is reached. Length, nesting, work and
/// output are limited, so that a template from a stranger can neither hang nor exhaust memory.
public struct ChatTemplate: Sendable {
    /// The most bytes of a template; those of models have at most 20,000.
    private static let maximumLength = 1 << 20

    private let statements: [TemplateStatement]

    /// - Throws: ``TokenizerError/template(line:reason:)`` for what is malformed or not supported.
    public init(_ source: String) throws {
        guard source.utf8.count <= Self.maximumLength else {
            throw TokenizerError.template(
                line: 1, reason: "the template has \(source.utf8.count) bytes; the limit is \(Self.maximumLength)")
        }
        var parser = TemplateParser(try TemplateLexer.parts(of: source))
        statements = try parser.template()
    }

    /// Renders the template.
    ///
    /// - Parameters:
    ///   - messages: objects with `role` and `content`; with reasoning under `reasoning_content`, `thinking` or `reasoning`.
    ///   - addGenerationPrompt: ends the text where the assistant's answer begins.
    ///   - variables: other variables, such as `bos_token`, `eos_token` and `tools`.
    /// - Throws: ``TokenizerError/template(line:reason:)``, or ``TokenizerError/templateRaised(message:)`` if the template
    ///   refuses the messages.
    public func render(
        messages: [JSONValue], addGenerationPrompt: Bool = true, variables: [String: JSONValue] = [:]
    ) throws -> String {
        var values: [String: TemplateValue] = ["tools": .none, "documents": .none]
        for (name, value) in variables { values[name] = TemplateValue(value) }
        values["messages"] = .list(messages.map { TemplateValue(Self.namingReasoning($0)) })
        values["add_generation_prompt"] = .bool(addGenerationPrompt)
        return try TemplateRenderer(variables: values).render(statements)
    }

    /// A message whose reasoning stands under all the names that templates read it by, as transformers has it.
    private static func namingReasoning(_ message: JSONValue) -> JSONValue {
        guard case .object(let object) = message else { return message }
        let given = ["reasoning_content", "thinking", "reasoning"].lazy.compactMap { object[$0] }
        guard let reasoning = given.first(where: { $0 != .null }) else { return message }
        var named = JSONObject([("thinking", reasoning)])
        for (name, value) in object.pairs { named[name] = value }
        named["reasoning_content"] = reasoning
        return .object(named)
    }
}

extension Tokenizer {
    /// The text of a conversation by ``chatTemplate``; nil if this tokenizer has none.
    ///
    /// Encode it with `addSpecialTokens: false`: templates write those tokens themselves.
    public func renderChat(
        messages: [JSONValue], addGenerationPrompt: Bool = true, variables: [String: JSONValue] = [:]
    ) throws -> String? {
        try ChatRenderer(self)?.render(
            messages: messages, addGenerationPrompt: addGenerationPrompt, variables: variables)
    }
}
