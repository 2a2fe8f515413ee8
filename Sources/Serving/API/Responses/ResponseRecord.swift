import Foundation
import Generation
import Support

/// A response that is kept: what it answers with when it is asked for, and what goes on from it needs.
struct ResponseRecord: Sendable {
    /// The response as it was answered.
    var response: JSONObject
    /// The conversation up to its answer, without instructions, as templates read it.
    var messages: [JSONObject]
    /// The text of the prompt, and of the answer where all of that may be gone on from.
    var text: String
    /// Bytes of `text` that are the prompt's.
    var promptBytes: Int
    /// The ids of `text`.
    var tokens: [Int32]
    /// Ids that are the prompt's.
    var promptTokens: Int
    /// Ids that the state that was kept last has read.
    var stateTokens: Int

    var byteCount: Int { 2 * text.utf8.count + 4 * tokens.count + 4096 }

    /// Where a conversation that is written as `rendered` may go on: the ids of what was read of it, and what follows.
    func continuation(of rendered: String) -> (tokens: [Int32], rest: String)? {
        let places = [(text.utf8.count, tokens.count), (promptBytes, promptTokens)]
        for (bytes, count) in places where rendered.utf8.starts(with: text.utf8.prefix(bytes)) {
            return (Array(tokens[..<count]), String(decoding: rendered.utf8.dropFirst(bytes), as: UTF8.self))
        }
        return nil
    }

    // MARK: As a file

    /// What files begin with.
    static let beginning = Array("moult response 1 ".utf8)

    var json: JSONValue {
        [
            "response": .object(response),
            "messages": .array(messages.map { .object($0) }),
            "text": .string(text), "prompt_bytes": .integer(promptBytes),
            "tokens": .string(StoredState.text(tokens)), "prompt_tokens": .integer(promptTokens),
            "state_tokens": .integer(stateTokens),
        ]
    }

    /// The file: a line with a hash, and JSON.
    var encoded: [UInt8] {
        let body = Array(json.text().utf8)
        return Self.beginning + Array("\(XXHash64.text(body))\n".utf8) + body
    }

    init(
        response: JSONObject, messages: [JSONObject], text: String, promptBytes: Int, tokens: [Int32],
        promptTokens: Int, stateTokens: Int
    ) {
        (self.response, self.messages, self.text) = (response, messages, text)
        (self.promptBytes, self.tokens) = (promptBytes, tokens)
        (self.promptTokens, self.stateTokens) = (promptTokens, stateTokens)
    }

    /// - Returns: nil for bytes that are damaged, or something else.
    init?(encoded bytes: Data) {
        let head = Self.beginning.count + 17
        guard bytes.starts(with: Self.beginning), bytes.count > head else { return nil }
        let body = Data(bytes.dropFirst(head))
        guard bytes.prefix(head).suffix(17).elementsEqual("\(XXHash64.text(body))\n".utf8),
            let json = try? JSONValue(parsing: body, .strict)
        else { return nil }
        self.init(json)
    }

    init?(_ json: JSONValue) {
        let messages = json["messages"]?.arrayValue?.compactMap { message in
            message["role"]?.stringValue == nil || message["content"]?.stringValue == nil ? nil : message.objectValue
        }
        guard let response = json["response"]?.objectValue, let messages,
            messages.count == json["messages"]?.arrayValue?.count, let text = json["text"]?.stringValue,
            let promptBytes = json["prompt_bytes"]?.integerValue, (0...text.utf8.count).contains(promptBytes),
            let tokens = json["tokens"]?.stringValue.flatMap(StoredState.tokens),
            let promptTokens = json["prompt_tokens"]?.integerValue, (0...tokens.count).contains(promptTokens),
            let stateTokens = json["state_tokens"]?.integerValue, (0...tokens.count).contains(stateTokens)
        else { return nil }
        self.init(
            response: response, messages: messages, text: text, promptBytes: promptBytes, tokens: tokens,
            promptTokens: promptTokens, stateTokens: stateTokens)
    }
}

/// The id of a response, and whose it is.
struct ResponseKey: FileKey {
    /// Tells whose it is; see `StateFolder.tag`.
    var scope: UInt64
    var id: String

    private static let prefix = "resp_"
    /// Letters of an id that tell of which model it is.
    private static let tagLetters = 4

    /// A new id of a response of `model`.
    static func newID(of model: String) -> String {
        prefix + RandomID.tag(model, tagLetters) + RandomID.text(RandomID.count - tagLetters)
    }

    /// Whether `id` is one of a response of `model`.
    static func isID(_ id: String, of model: String) -> Bool {
        id.hasPrefix(prefix + RandomID.tag(model, tagLetters))
    }

    /// - Returns: nil for an id that no response has.
    init?(scope: UInt64, id: String) {
        guard id.hasPrefix(Self.prefix), RandomID.isOne(id.dropFirst(Self.prefix.count))
        else { return nil }
        (self.scope, self.id) = (scope, id)
    }

    init?(name: String) {
        let parts = name.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, let scope = UInt64(parts[0], radix: 16) else { return nil }
        self.init(scope: scope, id: String(parts[1]))
    }

    var name: String { "\(String(scope, radix: 16))-\(id)" }
}
