import Checkpoints
import Tokenizers

/// Writes conversations of the data as the model's chat template does.
package struct ConversationText: Sendable {
    private let renderer: ChatRenderer

    /// - Returns: nil where the tokenizer has no chat template.
    /// - Throws: ``TokenizerError`` for a template that is malformed.
    package init?(_ tokenizer: Tokenizer) throws {
        guard let renderer = try ChatRenderer(tokenizer) else { return nil }
        self.renderer = renderer
    }

    /// The text of a conversation without the beginning of another answer, as
    /// `apply_chat_template(messages, tools=tools, tokenize=False)` of transformers makes it.
    func text(_ messages: [Tokenizers.JSONValue], tools: [Tokenizers.JSONValue]?) throws -> String {
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
        guard let self else { throw DataError.noChatTemplate(file: file, place: place) }
        do {
            let text = try self.text(messages, tools: tools)
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
