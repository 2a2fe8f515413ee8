import Checkpoints
import Support
import Tokenizers

/// Writes conversations of the data as the model's chat template does.
package struct ConversationText: Sendable {
    /// nil where the tokenizer has no chat template. One that is malformed concerns only data that needs it.
    private let renderer: Result<ChatRenderer?, any Error>

    package init(_ tokenizer: Tokenizer) { renderer = Result { try ChatRenderer(tokenizer) } }

    /// The text of a conversation without the beginning of another answer, as
    /// `apply_chat_template(messages, tools=tools, tokenize=False)` of transformers makes it;
    /// nil without a template.
    fileprivate func text(_ messages: [JSONValue], tools: [JSONValue]?) throws -> String? {
        guard let renderer = try renderer.get() else { return nil }
        let variables = tools.map { ["tools": JSONValue.array($0)] } ?? [:]
        return try renderer.render(
            messages: messages.map(Self.message), addGenerationPrompt: false, variables: variables)
    }

    /// A message with `role` and `content`, also where ShareGPT's names stand for them.
    private static func message(_ value: JSONValue) -> JSONValue {
        guard value["role"] == nil, case .string(let from)? = value["from"], let content = value["value"] else {
            return value
        }
        let roles = ["human": "user", "gpt": "assistant", "function_call": "assistant", "observation": "tool"]
        return .object(JSONObject([("role", .string(roles[from] ?? from)), ("content", content)]))
    }
}

extension ConversationText? {
    /// A document of one conversation.
    func piece(
        _ messages: [JSONValue], tools: [JSONValue]? = nil, file: String, place: DataPlace
    ) throws -> DocumentPiece {
        do {
            guard let text = try self?.text(messages, tools: tools) else {
                throw DataError.noChatTemplate(file: file, place: place)
            }
            return DocumentPiece(text: Array(text.utf8), place: place, isRendered: true)
        } catch let error as TokenizerError {
            throw DataError.conversation(file: file, place: place, reason: error.description)
        }
    }
}
