import ArgumentParser
import Foundation
import Generation
import Models
import Support
import Tokenizers

/// The lines that a person types, and what comes of them.
struct ChatRoom {
    let command: ChatCommand
    let model: DecoderModel
    let tokenizer: Tokenizer
    var sampler: Sampler
    var conversation: Conversation
    /// The conversations that are set aside, and the name of the present one.
    var others: [String: Conversation] = [:]
    var name = "main"
    private var last: Conversation.Turn?
    /// The state files that were loaded or saved here: these may be replaced.
    private var states = OwnStates()
    private var hasFailed = false

    init(
        command: ChatCommand, model: DecoderModel, tokenizer: Tokenizer, sampler: Sampler, conversation: Conversation
    ) {
        (self.command, self.model, self.tokenizer) = (command, model, tokenizer)
        (self.sampler, self.conversation) = (sampler, conversation)
    }

    private static let help = """
        /save FILE    save the conversation
        /load FILE    go on with what was saved
        /fork [NAME]  go on in a copy, and keep this
        /switch NAME  go to another conversation
        /reset        begin again
        /stats        tokens, speed and memory
        /forget       forget what was typed, in its file too
        /exit         end; so do /quit, /bye and Ctrl-D

        A line that ends in \\ goes on in the next; \"\"\" begins and ends a text of several lines; what is pasted is one \
        message. A message may begin with / behind a space. Ctrl-C stops an answer. /save FILE --force takes the place of \
        another state; /load takes the state of a text too, to talk about it.
        """

    /// Reads messages until the input ends.
    /// - Throws: an exit with code 1 when a line has failed that nobody watches.
    mutating func talk(_ input: ChatInput) throws {
        var input = input
        try readMessages(&input)
        if hasFailed, !input.isTerminal { throw ExitCode.failure }
    }

    private mutating func readMessages(_ input: inout ChatInput) throws {
        while true {
            let message: String
            switch try input.next("\(name == "main" ? "" : ForeignText.line(name, limit: 40))> ") {
            case .end: return
            case .refused(let reason):
                fail(reason)
                continue
            case .message(let text): message = text
            }
            // A Ctrl-C while nothing was generated has nothing to stop.
            Interrupt.forget()
            let text = message.trimmingCharacters(in: .whitespacesAndNewlines)
            if text.isEmpty { continue }
            let command = message.hasPrefix("/") && !text.contains("\n") ? ChatWords(text) : nil
            if command?.isEnd == true { return }
            do {
                if command?.name == "/forget" {
                    input.forget()
                } else if let command {
                    try obey(command)
                } else {
                    try answer(text, isWrapped: input.isConversation && self.command.wrap)
                }
            } catch let code as ExitCode where code.isInterrupt {
                // Stopped while the question was read: as if it had not been asked.
                Interrupt.forget()
            } catch let failure as Output.Failure {
                throw failure
            } catch {
                fail(FlagWords.text(of: error))
            }
        }
    }

    private mutating func fail(_ reason: String) {
        Terminal.remark("Error: \(reason)")
        hasFailed = true
    }

    /// - Parameter isWrapped: whether the answer's lines end between words at the terminal's width.
    private mutating func answer(_ question: String, isWrapped: Bool) throws {
        var wrap = isWrapped ? WordWrap(width: Terminal.outputWidth) : nil
        func show(_ piece: String) throws {
            try Output.text(wrap?.push(ForeignText.whole(piece)) ?? piece)
        }
        last = try conversation.ask(
            question, limit: command.maxTokens, sampler: &sampler,
            stops: tokenizer.stops(model.configuration.decoder.eosTokens), strings: command.sampling.stop,
            progress: { _, _ in try Interrupt.check() }
        ) { piece in
            try show(piece)
            return !Interrupt.isRequested
        }
        Interrupt.forget()
        try Output.text((wrap?.finish() ?? "") + "\n")
    }

    private mutating func obey(_ words: ChatWords) throws {
        let argument = words.argument
        switch (words.name, argument) {
        case ("/help", nil): Terminal.wrapped(Self.help)
        case ("/save", let path?):
            try save(path)
        case ("/load", let path?): try load(path)
        case ("/fork", _):
            var number = 1
            while others["fork-\(number)"] != nil || name == "fork-\(number)" { number += 1 }
            let fork = argument ?? "fork-\(number)"
            guard fork != name, others[fork] == nil else {
                throw GenerationError.conversation(expected: "a new name", found: "'\(fork)', which there is")
            }
            others[name] = conversation
            name = fork
            Terminal.remark("in '\(fork)'; /switch goes back")
        case ("/switch", let other?):
            guard other != name else { return }
            guard let found = others.removeValue(forKey: other) else {
                let names = others.keys.sorted().joined(separator: ", ")
                throw GenerationError.conversation(
                    expected: names.isEmpty ? "a name that /fork gave" : "one of \(names)", found: "'\(other)'")
            }
            others[name] = conversation
            (name, conversation) = (other, found)
            Terminal.remark("in '\(name)', after \(conversation.messages.count) messages")
        case ("/reset", nil): conversation = conversation.reset()
        case ("/stats", nil): Terminal.remark(statistics)
        default:
            throw ValidationError(words.refusal)
        }
    }

    /// Saves the conversation at the path in `argument`, which may be followed by --force.
    private mutating func save(_ argument: String) throws {
        let force = argument.hasSuffix(" --force")
        guard argument != "--force" else {
            throw GenerationError.conversation(expected: "/save FILE --force", found: "no FILE")
        }
        let path = (force ? String(argument.dropLast(8)) : argument).trimmingCharacters(in: .whitespaces)
        try conversation.save(to: path, generatorState: sampler.generatorState, own: &states, force: force)
        Terminal.remark("saved \(ByteCount.text(conversation.session.state.byteCount)) to \(path)")
    }

    /// Goes on with the state at `path`.
    mutating func load(_ path: String) throws {
        let file = try StateFile(path: path, model: model)
        conversation = try Conversation(
            file, path: path, tokenizer: tokenizer, format: conversation.format, system: command.system)
        states.add(path)
        if let generatorState = file.generatorState { sampler.generatorState = generatorState }
        Terminal.remark(
            "loaded \(path): \(conversation.messages.count) messages, \(file.session.state.position) tokens")
    }

    private var statistics: String {
        let state = conversation.session.state
        var text =
            "\(name): \(conversation.messages.count) messages, \(state.position) tokens, state \(ByteCount.text(state.byteCount))"
        if let last {
            text += String(
                format: "; last turn read %d tokens at %.0f tok/s and answered with %d at %.1f tok/s", last.read,
                Double(last.read) / max(last.readSeconds, 1e-9), last.answer.tokens,
                Double(last.answer.tokens) / max(last.answerSeconds, 1e-9))
        }
        if !others.isEmpty { text += "; others: \(others.keys.sorted().joined(separator: ", "))" }
        return text
    }
}
