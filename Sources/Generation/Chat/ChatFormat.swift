import Foundation
import Support
import Tokenizers

/// How a conversation is written as text.
public enum ChatFormat: Sendable {
    /// As the model's own chat template does.
    case template
    /// As "User:" and "Assistant:" before each message, for models without a template.
    case plain

    /// The template, where `tokenizer` has one.
    public init(_ tokenizer: Tokenizer) { self = tokenizer.chatTemplate == nil ? .plain : .template }

    /// Strings that end an answer beside the tokens that do.
    public var stops: [String] {
        switch self {
        case .template: []
        case .plain: ["\nUser:"]
        }
    }

    /// The conversation up to where the next answer begins.
    package func render(_ messages: [ChatMessage], _ tokenizer: Tokenizer) throws -> String {
        switch self {
        case .template:
            let objects = messages.map { message in
                let fields: [(key: String, value: JSONValue)] = [
                    ("role", .string(message.role.rawValue)), ("content", .string(message.content)),
                ]
                return JSONValue.object(JSONObject(fields))
            }
            guard let text = try tokenizer.renderChat(messages: objects) else {
                throw GenerationError.conversation(expected: "a model with a chat template", found: "none")
            }
            return text
        case .plain:
            let lines = messages.map { message in
                let content = message.content.trimmingCharacters(in: .whitespacesAndNewlines)
                return switch message.role {
                case .system: "\(content)\n\n"
                case .user: "User: \(content)\n"
                case .assistant: "Assistant: \(content)\n"
                }
            }
            return lines.joined() + "Assistant:"
        }
    }

    /// The ids of a conversation up to where the next answer begins.
    /// - Parameter isContinued: whether it stands behind other text.
    public func tokens(_ messages: [ChatMessage], _ tokenizer: Tokenizer, isContinued: Bool = false) throws -> [Int32] {
        let text = try render(messages, tokenizer)
        return try isContinued ? tokenizer.encode(continuing: text) : encode(text, tokenizer)
    }

    /// The ids of `text`, which begins a conversation.
    package func encode(_ text: String, _ tokenizer: Tokenizer) throws -> [Int32] {
        switch self {
        // Templates write the tokens that begin a text themselves.
        case .template: try tokenizer.encode(text, addSpecialTokens: false)
        case .plain: try tokenizer.encode(beginning: text)
        }
    }
}
