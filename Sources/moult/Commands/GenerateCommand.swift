import ArgumentParser
import Checkpoints
import Foundation
import Generation
import Models
import Support
import Text
import Tokenizers

struct GenerateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "generate", abstract: "Continue a prompt, token by token.",
        discussion: """
            A state file holds everything that the model remembers of a text; a converted model's has one size for all \
            lengths. With --load-state the text goes on where it was saved; --prompt may add to it.
            """)

    @OptionGroup var model: ModelArgument
    @Option(
        name: [.long, .customShort("p")],
        help: "The text to continue; - or no text at all: what is piped into standard input.")
    var prompt: String?
    @Option(name: [.long, .customShort("f")], help: "A UTF-8 file with the text to continue.") var promptFile: String?
    @Option(
        help: ArgumentHelp(
            "Continue every prompt of this file, several at once, and print a JSON line for each: a .jsonl file with a "
                + "\"prompt\" in every line, or a text file with a prompt a line.", valueName: "file"))
    var prompts: String?
    @Option(help: "With --prompts: how many to continue at once.") var batch = 8
    @Flag(help: "Read the text from standard input as it arrives, for as long as it does.") var stream = false
    @Option(help: "With --stream: print a continuation each time so many tokens were read.") var every: Int?
    @Option(name: [.long, .customShort("n")], help: "The most tokens to generate.") var maxTokens = 128
    @Flag(help: "Take the prompt as a question to a chat model: write it as the model's template does.")
    var chat = false
    @Option(help: "With --chat: what the model is told before the question.") var system: String?
    @Flag(inversion: .prefixedNo, help: "Show the prompt before what follows it. (default: --echo, but with --chat)")
    var echo: Bool?
    @OptionGroup var sampling: SamplingArguments
    @Option(
        help: ArgumentHelp(
            "Generate JSON that is valid by the JSON Schema of this file, and nothing else.", valueName: "file"))
    var jsonSchema: String?
    @Option(help: ArgumentHelp("Go on from this state.", valueName: "file")) var loadState: String?
    @Option(help: ArgumentHelp("Save the state after the text, also when interrupted.", valueName: "file"))
    var saveState: String?
    @Flag(help: "With --save-state: take the place of a state that is there.") var force = false
    @Option(help: "With --stream and --save-state: save each time so many tokens were read. (default: 16384)")
    var saveEvery: Int?
    @Option(help: ArgumentHelp("Keep states of prompts here, and read only what is new of one.", valueName: "folder"))
    var promptCache: String?
    @Option(help: "Bytes that --prompt-cache may take; the least recently used states are removed.")
    var promptCacheSize = ByteSize(bytes: 1_000_000_000)
    @OptionGroup var weights: WeightOptions
    @OptionGroup var output: OutputOptions
    @Flag(help: "Print JSON lines while the text comes: its parts, and at the end tokens, speed and why it ended.")
    var jsonLines = false

    func validate() throws {
        guard maxTokens >= 0 else { throw ValidationError("--max-tokens: expected 0 or more, found \(maxTokens).") }
        let texts = [prompt != nil, promptFile != nil, prompts != nil, stream].count { $0 }
        guard texts == 1 || texts == 0 && (loadState != nil || isPiped) else {
            throw ValidationError(
                "Expected one of --prompt, --prompt-file, --prompts, --stream and, with none, --load-state or text that is "
                    + "piped in.")
        }
        guard !chat || prompts == nil && !stream && (texts == 1 || loadState == nil) else {
            throw ValidationError("--chat: expected one question, found --prompts, --stream or none.")
        }
        guard !jsonLines || !output.json else {
            throw ValidationError("--json-lines: expected without --json, which prints one object at the end.")
        }
        guard system == nil || chat else { throw ValidationError("--system: expected together with --chat.") }
        guard (1...4096).contains(batch) else { throw ValidationError("--batch: expected 1 to 4096, found \(batch).") }
        if prompts != nil {
            guard loadState == nil, saveState == nil, promptCache == nil else {
                throw ValidationError(
                    "--prompts: expected no --load-state, --save-state or --prompt-cache, which are for one text.")
            }
            guard maxTokens > 0 else { throw ValidationError("--max-tokens: expected 1 or more, found \(maxTokens).") }
        }
        guard jsonSchema == nil || prompts == nil && every == nil && sampling.stop.isEmpty else {
            throw ValidationError("--json-schema: expected one text, found --prompts, --every or --stop.")
        }
        guard !force || saveState != nil else { throw ValidationError("--force: expected together with --save-state.") }
        guard promptCache == nil || !stream && loadState == nil else {
            throw ValidationError("--prompt-cache: expected a whole prompt, found --stream or --load-state.")
        }
        if let every {
            guard every > 0 else { throw ValidationError("--every: expected 1 or more, found \(every).") }
            guard stream, !output.json else {
                throw ValidationError("--every: expected --stream, and text as it comes rather than --json.")
            }
        }
        if let saveEvery {
            guard saveEvery > 0 else { throw ValidationError("--save-every: expected 1 or more, found \(saveEvery).") }
            guard stream, saveState != nil else {
                throw ValidationError("--save-every: expected together with --stream and --save-state.")
            }
        }
        try sampling.check()
    }

    func run() throws {
        var states = OwnStates()
        if let loadState { states.add(loadState) }
        if let saveState { try states.check(saveState, force: force) }
        let files = try ModelFiles.noted(self.model.path)
        let (model, tokenizer) = try weights.load(files)
        let constraint = try jsonSchema.map { try self.constraint($0, tokenizer) }
        if let prompts { return try generateAll(prompts, model, tokenizer) }
        var sampler = try sampling.sampler(
            tokenizer, defaults: chat ? SamplingArguments.recommended(files) ?? .greedy : .greedy)
        let reading = ContinuousClock.now
        let text = try read(model, tokenizer, &sampler, &states)
        let session = text.session
        let readSeconds = reading.duration(to: .now) / .seconds(1)

        var generated = ""
        var failure = text.failure
        /// Shows a part of the text. That it cannot be shown ends the text, which is saved all the same.
        func show(_ piece: String) {
            guard !output.json, failure == nil else { return }
            do { try jsonLines ? line(piece) : Output.text(piece) } catch { failure = error }
        }
        func line(_ piece: String) throws { if !piece.isEmpty { try printLine(["text": .string(piece)]) } }
        if jsonLines {
            do {
                try printLine([
                    "prompt": .string(text.prompt), "prompt_tokens": .integer(text.tokens),
                    "cached_tokens": .integer(text.tokens - text.read),
                ])
            } catch { failure = failure ?? error }
        } else if echo ?? !chat {
            show(text.prompt)
        }
        let start = ContinuousClock.now
        var result = TextContinuation(tokens: 0, end: .stopped)
        if failure == nil, !Interrupt.isRequested {
            result = try session.continueText(
                limit: maxTokens, sampler: &sampler, tokenizer: tokenizer,
                stops: tokenizer.stops(model.configuration.decoder.eosTokens),
                strings: sampling.stopStrings(and: chat ? ChatFormat(tokenizer).stops : []),
                constraint: constraint, readsLast: saveState != nil
            ) { piece in
                generated += piece
                show(piece)
                return failure == nil && !Interrupt.isRequested
            }
        }
        let seconds = start.duration(to: .now) / .seconds(1)
        try save(session, sampler, &states)
        if !jsonLines { show("\n") }
        if let failure { throw failure }
        try Interrupt.check()

        // The first token comes from reading the prompt; the others are a step each.
        let stepRate = result.tokens > 1 ? Double(result.tokens - 1) / seconds : 0
        let readRate = Double(text.read) / readSeconds
        let masks = result.maskSeconds.sorted().map { 1000 * $0 }
        var totals: [(String, JSONValue)] = [
            ("prompt_tokens", .integer(text.tokens)), ("cached_tokens", .integer(text.tokens - text.read)),
            ("tokens", .integer(result.tokens)), ("end", .string(result.end.rawValue)),
            ("prompt_tokens_per_second", .number(readRate)), ("tokens_per_second", .number(stepRate)),
            ("state_bytes", .integer(session.state.byteCount)), ("context", .integer(session.state.position)),
            ("peak_memory_bytes", .integer(peakMemory())),
        ]
        if let longest = masks.last {
            totals.append(("mask_milliseconds_median", .number(masks[masks.count / 2])))
            totals.append(("mask_milliseconds_longest", .number(longest)))
        }
        if jsonLines { return try printLine(JSONObject(totals)) }
        if output.json {
            return try output.print(
                JSONObject([("prompt", .string(text.prompt)), ("text", .string(generated))] + totals))
        }
        let cached = text.tokens > text.read ? ", \(text.tokens - text.read) of them cached" : ""
        Terminal.note(
            "\(text.tokens) + \(result.tokens) tokens\(cached): "
                + String(format: "prompt %.0f tok/s, generation %.1f tok/s", readRate, stepRate)
                + ", state \(ByteCount.text(session.state.byteCount))"
                + (masks.last.map { String(format: ", masks %.3f ms, longest %.1f ms", masks[masks.count / 2], $0) }
                    ?? "")
                + (saveState.map { " saved to \($0)" } ?? ""))
    }

    /// What the schema of a file says of the text.
    private func constraint(_ path: String, _ tokenizer: Tokenizer) throws -> TokenConstraint {
        let schema: JSONValue
        do { schema = try JSONValue(parsing: Data(TextFile.read(path).utf8), .strict) } catch let fault as JSONFault {
            switch fault {
            case .malformed(let offset, let problem):
                throw Failure("\(path): not valid JSON at byte \(offset): \(problem).")
            case .duplicate(let key):
                throw Failure("\(path): the key \(ForeignText.line(key, limit: 80)) is there twice.")
            }
        }
        return try TokenConstraint(.schema(schema, name: path), vocabulary: ConstraintVocabulary(tokenizer))
    }

    /// Prints one of the lines of --json-lines.
    func printLine(_ object: JSONObject) throws {
        try Output.text(JSONValue.object(object).text() + "\n")
    }

    /// Saves the state where --save-state says.
    func save(_ session: GenerationSession, _ sampler: Sampler, _ states: inout OwnStates) throws {
        guard let saveState else { return }
        try states.save(session, generatorState: sampler.generatorState, force: force, to: saveState)
    }
}
