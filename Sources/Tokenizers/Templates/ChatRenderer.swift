import Support

/// A tokenizer's chat template, parsed once, with the special tokens that templates name.
public struct ChatRenderer: Sendable {
    private let template: ChatTemplate
    private let tokens: [String: JSONValue]

    /// - Returns: nil where the tokenizer has no chat template.
    /// - Throws: ``TokenizerError/template(line:reason:)`` for a template that is malformed.
    public init?(_ tokenizer: Tokenizer) throws {
        guard let source = tokenizer.chatTemplate else { return nil }
        template = try ChatTemplate(source)
        let names = [
            "bos_token": tokenizer.bosToken, "eos_token": tokenizer.eosToken, "unk_token": tokenizer.unknownToken,
            "pad_token": tokenizer.paddingToken,
        ]
        let known = names.compactMapValues { id in id.flatMap { tokenizer.token(for: $0) } }
        tokens = known.merging(tokenizer.templateTokens) { known, _ in known }.mapValues { .string($0) }
    }

    /// The text of a conversation.
    ///
    /// - Parameters:
    ///   - addGenerationPrompt: ends the text where the assistant's answer begins.
    ///   - variables: other variables, such as `tools`; they stand before the special tokens.
    /// - Throws: as ``ChatTemplate/render(messages:addGenerationPrompt:variables:)``.
    public func render(
        messages: [JSONValue], addGenerationPrompt: Bool = true, variables: [String: JSONValue] = [:]
    ) throws -> String {
        try template.render(
            messages: messages, addGenerationPrompt: addGenerationPrompt,
            variables: tokens.merging(variables) { $1 })
    }
}
