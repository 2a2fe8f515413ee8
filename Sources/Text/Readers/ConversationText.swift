import Checkpoints
import Tokenizers

/// Writes conversations of the data as the model's chat template does.
package struct ConversationText: Sendable {
    /// nil where the tokenizer has no chat template. One that is malformed concerns only data that needs it.
    private let renderer: Result<ChatRenderer?, any Error>

    package init(_ tokenizer: Tokenizer) { renderer = Result { try ChatRenderer(tokenizer) } }

    /// The text of a conversation without the beginning of another answer, as
    /// `apply_chat_template(messages, tools=tools, tokenize=False)` of transformers makes it;
    /// nil without a template.
    fileprivate func text(_ messages: [Tokenizers.JSONValue], tools: [Tokenizers.JSONValue]?) throws -> String? {
        guard let renderer = try renderer.get() else { return nil }
        let variables = tools.map { ["tools": Tokenizers.JSONValue.array($0)] } ?? [:]
        return try renderer.render(
            messages: messages.map(Self.message), addGenerationPrompt: false, variables: variables)
    }

    /// A message with `role` and `content`, also where ShareGPT's names stand for them.
    private static func message(_ value: Tokenizers.JSONValue) -> Tokenizers.JSONValue {
        guard value["role"] == nil, case .string(let from)? = value["from"], let content = value["value"] else {
            return value
        }
        let roles = ["human": "user", "gpt": "assistant", "function_call": "assistant", "observation": "tool"]
        return .object(Tokenizers.JSONObject([("role", .string(roles[from] ?? from)), ("content", content)]))
    }
}

extension ConversationText? {
    /// A document of one conversation.
    func piece(
        _ messages: [Tokenizers.JSONValue], tools: [Tokenizers.JSONValue]? = nil, file: String, place: DataPlace
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

extension Tokenizers.JSONValue {
    /// The same value, in the type with which templates compute.
    init(_ value: Checkpoints.JSONValue) {
        self =
            switch value {
            case .null: .null
            case .bool(let value): .bool(value)
            case .integer(let value): .integer(value)
            case .number(let value): .number(value)
            case .string(let value): .string(value)
            case .array(let values): .array(values.map { Self($0) })
            case .object(let object): .object(.init(object.pairs.map { ($0.key, Self($0.value)) }))
            }
    }
}
