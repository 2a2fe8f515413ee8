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
            takes the same time after a thousand turns. Type /help for commands; Ctrl-C stops an answer, and a second one \
            the program. Where lines are not typed but piped in, the exit code is 1 when one of them failed.
            """)

    @Argument(help: "A Hugging Face folder or a .gguf file.") var model: String
    @Option(help: "What the model is told before the conversation.") var system: String?
    @Option(help: "The most tokens of an answer.") var maxTokens = 1024
    @OptionGroup var sampling: SamplingArguments
    @Option(
        help: ArgumentHelp(
            "Go on with a saved conversation, or talk about a text whose state was saved.", valueName: "file"))
    var loadState: String?
    @OptionGroup var weights: WeightOptions

    func validate() throws {
        guard maxTokens > 0 else { throw ValidationError("--max-tokens: expected 1 or more, found \(maxTokens).") }
        try sampling.check()
    }

    func run() throws {
        let files = try ModelFiles.noted(self.model)
        let (model, tokenizer) = try weights.load(files)
        let sampler = try sampling.sampler(tokenizer, defaults: SamplingArguments.recommended(files))
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
        try room.talk()
    }
}
