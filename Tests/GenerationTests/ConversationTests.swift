import Foundation
import Generation
import Models
import TestSupport
import Testing
import Tokenizers

@Suite("Conversations")
struct ConversationTests {
    private static let template =
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
        + "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    /// Writes answers otherwise than they were generated.
    private static let trimming = template.replacingOccurrences(of: "m['content']", with: "m['content'] | upper")

    private let model: DecoderModel

    init() throws { model = try tinyModel("moult-gsa-window") }

    private func sampler(seed: UInt64 = 3) throws -> Sampler {
        // No special tokens, and no ids that have no token.
        let bias = Dictionary(uniqueKeysWithValues: (96..<128).map { (Int32($0), -Float.infinity) })
        return Sampler(try SamplingOptions(logitBias: bias, temperature: 3), seed: seed)
    }

    private func ask(
        _ conversation: inout Conversation, _ question: String, limit: Int = 12, strings: [String] = []
    ) throws -> (answer: String, turn: Conversation.Turn) {
        var (sampler, answer) = (try sampler(), "")
        let turn = try conversation.ask(question, limit: limit, sampler: &sampler, stops: [97], strings: strings) {
            answer += $0
            return true
        }
        #expect(conversation.messages.last == ChatMessage(.assistant, answer))
        return (answer, turn)
    }

    /// The hash of a text's tokens, read from the beginning.
    private func digest(_ text: String, _ tokenizer: Tokenizer) throws -> TokenDigest {
        var digest = TokenDigest()
        digest.append(try tokenizer.encode(text))
        return digest
    }

    @Test("a turn reads only what is new, and the state is that of the whole text")
    func incremental() throws {
        let tokenizer = try asciiTokenizer(chatTemplate: Self.template)
        var conversation = Conversation(try GenerationSession(model), tokenizer: tokenizer, system: "Be brief.")
        var text = "<|im_start|>system\nBe brief.<|im_end|>\n"
        for question in ["Who?", "And why?", "When?"] {
            let (answer, turn) = try ask(&conversation, question)
            let asked = "<|im_start|>user\n\(question)<|im_end|>\n<|im_start|>assistant\n"
            let closing = text.hasSuffix("\n") ? "" : "<|im_end|>\n"
            text += closing + asked + answer
            let first = try question == "Who?" ? tokenizer.encode("<|im_start|>system\nBe brief.<|im_end|>\n").count : 0
            #expect(try turn.read == tokenizer.encode(closing + asked).count + first)
            #expect(try conversation.session.digest == digest(text, tokenizer))
        }
        #expect(conversation.messages.count == 7)
        let again = conversation.reset()
        #expect(again.messages == [ChatMessage(.system, "Be brief.")] && again.session.state.position == 0)
    }

    @Test("where the template changes an answer, it is read again as the template writes it")
    func changedAnswers() throws {
        let tokenizer = try asciiTokenizer(chatTemplate: Self.trimming)
        var conversation = Conversation(try GenerationSession(model), tokenizer: tokenizer)
        let first = try ask(&conversation, "who").answer
        let (second, turn) = try ask(&conversation, "why")
        #expect(first.uppercased() != first)
        let text =
            "<|im_start|>user\nWHO<|im_end|>\n<|im_start|>assistant\n\(first.uppercased())<|im_end|>\n"
            + "<|im_start|>user\nWHY<|im_end|>\n<|im_start|>assistant\n"
        #expect(try conversation.session.digest == digest(text + second, tokenizer))
        // From the state before the answer, not from the beginning.
        #expect(try turn.read < tokenizer.encode(text).count)
    }

    @Test("an answer that a stop string cut is read as it was given out")
    func stopStrings() throws {
        let tokenizer = try asciiTokenizer(chatTemplate: Self.template)
        var conversation = Conversation(try GenerationSession(model), tokenizer: tokenizer)
        var plain = conversation
        let whole = try ask(&plain, "Who?").answer
        let stop = String(whole.dropFirst(4).prefix(2))
        let (answer, turn) = try ask(&conversation, "Who?", strings: [stop])
        #expect(turn.answer.end == .stopString && whole.hasPrefix(answer + stop))
        let next = try ask(&conversation, "Why?").answer
        let text =
            "<|im_start|>user\nWho?<|im_end|>\n<|im_start|>assistant\n\(answer)<|im_end|>\n"
            + "<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n\(next)"
        #expect(try conversation.session.digest == digest(text, tokenizer))
    }

    @Test("a copy and its origin go their own ways")
    func forks() throws {
        let tokenizer = try asciiTokenizer(chatTemplate: Self.template)
        var conversation = Conversation(try GenerationSession(model), tokenizer: tokenizer)
        _ = try ask(&conversation, "Who?")
        let before = try conversation.session.state.snapshot().tensors.map { try $0.value.array() }
        var fork = conversation
        _ = try ask(&fork, "Why?")
        #expect(try conversation.session.state.snapshot().tensors.map { try $0.value.array() } == before)
        #expect(conversation.messages.count == 2 && fork.messages.count == 4)
        #expect(try ask(&conversation, "Why?").answer == fork.messages[3].content)
    }

    @Test("an error leaves the conversation as it was")
    func errors() throws {
        struct Stop: Error {}
        let tokenizer = try asciiTokenizer(chatTemplate: Self.template)
        var conversation = Conversation(try GenerationSession(model), tokenizer: tokenizer)
        _ = try ask(&conversation, "Who?")
        let (digest, messages) = (conversation.session.digest, conversation.messages)
        var sampler = try sampler()
        #expect(throws: Stop.self) {
            try conversation.ask("Why?", limit: 5, sampler: &sampler, stops: []) { _ in throw Stop() }
        }
        #expect(throws: Stop.self) {
            try conversation.ask("Why?", limit: 5, sampler: &sampler, stops: [], progress: { _, _ in throw Stop() }) {
                _ in true
            }
        }
        #expect(conversation.session.digest == digest && conversation.messages == messages)
    }

    @Test("saved and loaded, it goes on as it would have")
    func files() throws {
        let folder = try TemporaryFolder()
        let path = "\(folder.path)/a.state"
        let tokenizer = try asciiTokenizer(chatTemplate: Self.template)
        var conversation = Conversation(try GenerationSession(model), tokenizer: tokenizer, system: "Hi")
        _ = try ask(&conversation, "Who?")
        var states = OwnStates()
        try conversation.save(to: path, generatorState: 9, own: &states)
        let file = try StateFile(path: path, model: model)
        #expect(file.generatorState == 9)
        var loaded = try Conversation(file, path: path, tokenizer: tokenizer)
        #expect(loaded.messages == conversation.messages)
        let (wanted, turn) = try ask(&conversation, "Why?")
        let (found, again) = try ask(&loaded, "Why?")
        #expect(found == wanted && again.read == turn.read)

        try StateFile.write(conversation.session, notes: Data("[1]".utf8), to: path)
        #expect(throws: GenerationError.self) {
            try Conversation(StateFile(path: path, model: model), path: path, tokenizer: tokenizer)
        }
        // A state that is no conversation's is what the conversation is about.
        let document = try GenerationSession(model)
        try document.read(tokenizer.encode("A document."))
        try StateFile.write(document, to: path)
        var about = try Conversation(StateFile(path: path, model: model), path: path, tokenizer: tokenizer)
        let answer = try ask(&about, "What?").answer
        let text = "A document.<|im_start|>user\nWhat?<|im_end|>\n<|im_start|>assistant\n\(answer)"
        #expect(try about.session.digest == digest(text, tokenizer))
        #expect(about.reset().session.digest == document.digest)
    }

    @Test("without a template, messages are marked by their speakers")
    func plain() throws {
        let tokenizer = try asciiTokenizer()
        var conversation = Conversation(try GenerationSession(model), tokenizer: tokenizer, system: "Be brief.")
        let answer = try ask(&conversation, "Who?").answer
        #expect(
            try conversation.session.digest == digest("Be brief.\n\nUser: Who?\nAssistant:\(answer)", tokenizer))
        let next = try ask(&conversation, "Why?").answer
        #expect(conversation.messages.count == 5 && !next.contains("\nUser:"))
    }
}
