import ArgumentParser
import Foundation
import Generation
import Models
import Support
import Text
import Tokenizers

extension GenerateCommand {
    /// The text that is continued.
    struct ReadText {
        let session: GenerationSession
        /// The prompt, where it is shown again.
        var prompt = ""
        var tokens = 0
        /// Of the tokens, those that were not in the prompt cache.
        var read = 0
        /// Why what was generated on the way could not be shown, which ended the reading.
        var failure: (any Error)?
    }

    /// Reads the prompt, by whichever option it was given, behind a saved state if there is one, whose random numbers
    /// `sampler` takes over. Interrupted, it ends early when the state is to be saved.
    func read(
        _ model: DecoderModel, _ tokenizer: Tokenizer, _ sampler: inout Sampler, _ states: inout OwnStates
    ) throws -> ReadText {
        if let promptCache, let text = try givenText() {
            let cache = try PromptCache(folder: promptCache, limit: promptCacheSize.bytes) {
                Terminal.note("warning: \($0)")
            }
            let tokens = try encode(text, tokenizer, isContinued: false)
            Interrupt.hold()
            let bar = ProgressBar("reading", total: tokens.count, unit: .tokens)
            defer { bar.finish() }
            let (session, cached) = try cache.session(reading: tokens, model: model) { try bar.update($0, of: $1) }
            return ReadText(
                session: session, prompt: text, tokens: tokens.count, read: tokens.count - cached)
        }
        let saved = try loadState.map { try StateFile(path: $0, model: model) }
        if let generatorState = saved?.generatorState { sampler.generatorState = generatorState }
        let session = try saved?.session ?? GenerationSession(model)
        let text = try givenText()
        let tokens = try text.map { try encode($0, tokenizer, isContinued: saved != nil) }
        // From here on there is something to save.
        if saveState != nil { Interrupt.hold() }
        if stream {
            return try readStream(session, tokenizer, isContinued: saved != nil, sampler: sampler, states: &states)
        }
        guard let text, let tokens else { return ReadText(session: session) }
        let bar = ProgressBar("reading", total: tokens.count, unit: .tokens)
        defer { bar.finish() }
        do {
            try session.read(tokens) { try bar.update($0, of: $1) }
        } catch let code as ExitCode where saveState == nil || session.state.position == 0 {
            throw code
        } catch let code as ExitCode where code.isInterrupt {
            // What was read is saved.
        }
        return ReadText(session: session, prompt: text, tokens: tokens.count, read: tokens.count)
    }

    /// Whether standard input is a pipe or a file, which holds the prompt where no option names one.
    var isPiped: Bool {
        var status = stat()
        guard fstat(STDIN_FILENO, &status) == 0 else { return false }
        return [S_IFIFO, S_IFREG, S_IFSOCK].contains(status.st_mode & S_IFMT)
    }

    private func givenText() throws -> String? {
        if let promptFile { return try TextFile.read(promptFile) }
        guard prompt == "-" || prompt == nil && !stream && prompts == nil && loadState == nil else { return prompt }
        var bytes: [UInt8] = []
        while let more = try StandardInput.next() { bytes += more }
        try Interrupt.check()
        // A command that prints a prompt ends its last line, which the prompt's text does not go on behind.
        let text = try TextFile.text(Data(bytes), from: "standard input")
        return text.hasSuffix("\n") ? String(text.dropLast()) : text
    }

    /// The tokens that are read for a prompt.
    private func encode(_ text: String, _ tokenizer: Tokenizer, isContinued: Bool) throws -> [Int32] {
        if chat {
            let messages = (system.map { [ChatMessage(.system, $0)] } ?? []) + [ChatMessage(.user, text)]
            return try ChatFormat(tokenizer).tokens(messages, tokenizer, isContinued: isContinued)
        }
        return try isContinued ? tokenizer.encode(continuing: text) : tokenizer.encode(text)
    }

    private func readStream(
        _ session: GenerationSession, _ tokenizer: Tokenizer, isContinued: Bool, sampler: Sampler,
        states: inout OwnStates
    ) throws -> ReadText {
        var encoder = IncrementalEncoder(tokenizer, continues: isContinued)
        var feed = TokenFeed(session, every: every)
        let start = ContinuousClock.now
        var shown = start
        var saved = session.state.position
        /// Saves now and then, for the case that the program cannot save at its end.
        func goesOn() throws -> Bool {
            if saveState != nil, session.state.position - saved >= saveEvery ?? 16_384 {
                try save(session, sampler, &states)
                saved = session.state.position
            }
            return !Interrupt.isRequested
        }
        func take(_ tokens: [Int32]) throws {
            try feed.append(tokens, goesOn: goesOn, progress: Interrupt.check) {
                var sampler = sampler
                let text = try continuation(of: session.fork(), tokenizer, &sampler)
                let position = session.state.position
                guard jsonLines else { return try Output.text("[\(position)]\(text)\n") }
                try printLine(["context": .integer(position), "text": .string(text)])
            }
            let now = ContinuousClock.now
            guard Terminal.isInteractive, shown.duration(to: now) > .milliseconds(100) else { return }
            shown = now
            let rate = Double(feed.read) / (start.duration(to: now) / .seconds(1))
            Terminal.draw(
                "\r\(grouped(feed.read)) tokens  \(String(format: "%.0f", rate)) tok/s  "
                    + "state \(ByteCount.text(session.state.byteCount))\u{1B}[K")
        }
        var failure: (any Error)?
        do {
            while let bytes = try StandardInput.next() { try take(encoder.push(bytes)) }
            if !Interrupt.isRequested {
                try take(encoder.finish())
                try feed.finish(progress: Interrupt.check)
            }
        } catch let error as Output.Failure {
            failure = error
        } catch let code as ExitCode where code.isInterrupt {
            // What was read is saved.
        }
        if Terminal.isInteractive { Terminal.draw("\r\u{1B}[K") }
        if encoder.isRepaired {
            Terminal.note("warning: standard input: bytes that are not UTF-8 were read as U+FFFD")
        }
        guard session.state.position > 0 else { throw GenerationError.emptyPrompt }
        return ReadText(session: session, tokens: feed.read, read: feed.read, failure: failure)
    }

    /// What the session would go on with.
    private func continuation(
        of session: GenerationSession, _ tokenizer: Tokenizer, _ sampler: inout Sampler
    ) throws -> String {
        var text = ""
        _ = try session.continueText(
            limit: maxTokens, sampler: &sampler, tokenizer: tokenizer,
            stops: tokenizer.stops(session.model.configuration.decoder.eosTokens), strings: sampling.stopStrings()
        ) {
            text += $0
            return !Interrupt.isRequested
        }
        return text
    }
}
