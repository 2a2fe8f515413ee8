import ArgumentParser
import Checkpoints
import Foundation
import Generation
import Models
import Tokenizers

struct ChatCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "chat", abstract: "Talk with a model.",
        discussion: """
            The conversation is held in the model's state: a turn reads only what is new, and with a converted model \
            takes the same time after a thousand turns. Type /help for commands; Ctrl-C stops an answer, and twice at the \
            prompt the program. Where no option and no recommendation of the model's makers says otherwise, answers are \
            sampled: temperature \(SamplingArguments.conversation.temperature), top-p \
            \(SamplingArguments.conversation.topP). Where lines are not typed but piped in, the exit code is 1 when one of them failed.
            """)

    @OptionGroup var model: ModelArgument
    @Option(help: "What the model is told before the conversation.") var system: String?
    @Option(help: "The most tokens of an answer.") var maxTokens = 1024
    @OptionGroup var sampling: SamplingArguments
    @Option(
        help: ArgumentHelp(
            "Go on with a saved conversation, or talk about a text whose state was saved.", valueName: "file"))
    var loadState: String?
    @Flag(inversion: .prefixedNo, help: "On a terminal: end lines of answers between words.") var wrap = true
    @Flag(inversion: .prefixedNo, help: "On a terminal: keep what is typed in a file, for the arrow keys.")
    var history = true
    @OptionGroup var weights: WeightOptions

    func validate() throws {
        guard maxTokens > 0 else { throw ValidationError("--max-tokens: expected 1 or more, found \(maxTokens).") }
        try sampling.check()
    }

    func run() throws {
        let files = try ModelFiles.noted(self.model.path)
        let (model, tokenizer) = try weights.load(files)
        var sampling = sampling
        let seed = sampling.drawSeed()
        let defaults = try SamplingArguments.recommended(files) ?? SamplingArguments.conversation
        let sampler = try sampling.sampler(tokenizer, defaults: defaults)
        let format = ChatFormat(tokenizer)
        if case .plain = format {
            Terminal.note(
                "warning: the model has no chat template; the conversation is written as User: and Assistant:")
        }
        let conversation = Conversation(
            try GenerationSession(model), tokenizer: tokenizer, format: format, system: system)
        var room = ChatRoom(
            command: self, model: model, tokenizer: tokenizer, sampler: sampler, conversation: conversation)
        if let loadState { try room.load(loadState) }
        Interrupt.hold([SIGINT])
        let input = ChatInput(keepsHistory: history)
        if input.isConversation {
            // A state has random numbers of its own.
            let greeting = ChatGreeting(
                path: self.model.path, model: model, sampler: sampler, seed: loadState == nil ? seed : nil)
            Terminal.wrapped(try greeting.text)
        } else if sampler.options.temperature > 0, self.sampling.seed == nil, loadState == nil {
            Terminal.note("sampled with --seed \(seed)")
        }
        try room.talk(input)
    }
}
