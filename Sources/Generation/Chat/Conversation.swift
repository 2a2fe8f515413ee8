import Foundation
import Models
import Tokenizers

/// A conversation whose history is the session's state: a turn reads what is new since the last one.
///
/// What is new is found in the text: the whole conversation is rendered at every turn, and where it begins with what the
/// session has read, the rest is read. A template that writes an earlier answer otherwise than it was generated (trimmed,
/// or without its reasoning) breaks that; then the turn goes back to the state before that answer, or to the beginning.
public struct Conversation {
    /// The messages so far, from the system's on if there is one.
    public private(set) var messages: [ChatMessage]
    /// What the model has seen: what came before the conversation, and the conversation.
    public private(set) var session: GenerationSession
    /// How messages become text.
    public let format: ChatFormat
    private let tokenizer: Tokenizer
    /// Before the first message; never advanced.
    private let base: GenerationSession
    /// The part of the conversation's text that `session` has read.
    private var text = ""
    /// Before the last answer.
    private var beforeAnswer: (session: GenerationSession, text: String)?

    /// What a turn took.
    public struct Turn: Sendable {
        /// How the answer ended, and its tokens.
        public var answer: TextContinuation
        /// Tokens read before the answer.
        public var read: Int
        /// Seconds that reading the question took, and what came before it where that was new.
        public var readSeconds: Double
        /// Seconds that generating the answer took.
        public var answerSeconds: Double
    }

    /// Begins a conversation behind what `session` has read, which may be nothing.
    /// - Parameter format: nil is the model's own, where it has one.
    public init(
        _ session: GenerationSession, tokenizer: Tokenizer, format: ChatFormat? = nil, system: String? = nil
    ) {
        base = session
        self.session = session
        self.tokenizer = tokenizer
        self.format = format ?? ChatFormat(tokenizer)
        messages = system.map { [ChatMessage(.system, $0)] } ?? []
    }

    /// The conversation as it was before its first question.
    public func reset() -> Conversation {
        let system = messages.first.flatMap { $0.role == .system ? $0.content : nil }
        return Conversation(base, tokenizer: tokenizer, format: format, system: system)
    }

    /// Reads a question and generates the answer, which becomes part of the conversation. After an error the conversation
    /// is as it was.
    /// - Parameters:
    ///   - progress: called with tokens read and in all; throwing stops.
    ///   - emit: called with text of the answer; false ends it there.
    public mutating func ask(
        _ question: String, limit: Int, sampler: inout Sampler, stops: Set<Int32>, strings: [String] = [],
        progress: (Int, Int) throws -> Void = { _, _ in }, emit: (String) throws -> Bool
    ) throws -> Turn {
        let asked = messages + [ChatMessage(.user, question)]
        let rendered = try format.render(asked, tokenizer)
        let (start, tokens) = try place(rendered)
        // Sessions that may be needed again are forked rather than advanced.
        let next = try start.fork()
        let clock = ContinuousClock.now
        if !tokens.isEmpty { try next.read(tokens, progress: progress) }
        let readSeconds = clock.duration(to: .now) / .seconds(1)
        let before = (session: try next.fork(), text: rendered)
        let answering = ContinuousClock.now
        var answer = ""
        let result = try next.continueText(
            limit: limit, sampler: &sampler, tokenizer: tokenizer, stops: stops,
            strings: try StopStrings(strings + format.stops), readsLast: true
        ) {
            answer += $0
            return try emit($0)
        }
        messages = asked + [ChatMessage(.assistant, answer)]
        beforeAnswer = before
        // The session may have read a part of a stop string, which is not in the text.
        (session, text) = result.end == .stopString ? before : (next, rendered + answer)
        return Turn(
            answer: result, read: tokens.count, readSeconds: readSeconds,
            answerSeconds: answering.duration(to: .now) / .seconds(1))
    }

    /// The furthest session whose text begins `rendered`, and the tokens that it has not read.
    private func place(_ rendered: String) throws -> (GenerationSession, [Int32]) {
        for (session, text) in [(session, text), beforeAnswer ?? (base, "")] where !text.isEmpty {
            guard rendered.utf8.starts(with: text.utf8) else { continue }
            let rest = String(decoding: rendered.utf8.dropFirst(text.utf8.count), as: UTF8.self)
            return (session, try tokenizer.encode(continuing: rest))
        }
        let isContinued = base.state.position > 0
        return try (base, isContinued ? tokenizer.encode(continuing: rendered) : format.encode(rendered, tokenizer))
    }

    // MARK: Files

    /// What a state file keeps of a conversation beside the state.
    private struct Notes: Codable {
        var messages: [ChatMessage]
        var text: String
    }

    /// Saves the conversation as a state file.
    /// - Parameters:
    ///   - own: the states that may be replaced.
    ///   - force: whether any state may.
    public func save(to path: String, generatorState: UInt64, own: inout OwnStates, force: Bool = false) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        try own.save(
            session, generatorState: generatorState, notes: encoder.encode(Notes(messages: messages, text: text)),
            force: force, to: path)
    }

    /// The conversation that `file`, read from `path`, was saved from; one that has not begun, behind the text of the file,
    /// when that was no conversation.
    public init(
        _ file: StateFile, path: String, tokenizer: Tokenizer, format: ChatFormat? = nil, system: String? = nil
    ) throws {
        guard !file.notes.isEmpty else {
            self.init(file.session, tokenizer: tokenizer, format: format, system: system)
            return
        }
        guard let notes = try? JSONDecoder().decode(Notes.self, from: file.notes) else {
            throw GenerationError.damagedState(path: path, reason: "what it keeps of the conversation cannot be read")
        }
        self.init(try GenerationSession(file.session.model), tokenizer: tokenizer, format: format)
        (messages, session, text) = (notes.messages, file.session, notes.text)
    }
}
