import ArgumentParser
import Foundation
import Models

@main
struct MoultCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "moult",
        abstract: "Turn a pretrained Transformer into a recurrent model and run it with constant memory.",
        discussion: """
            MODEL and SOURCE are a Hugging Face folder (config.json, *.safetensors, tokenizer.json) or a .gguf file.

            Begin with:
              moult convert SOURCE --output student
              moult generate student --prompt "Once upon a time"

            With --json, standard output holds one JSON object and nothing else; progress goes to standard error.
            """,
        version: Moult.version,
        subcommands: [LogitsCommand.self, TokensCommand.self, TemplateCommand.self],
        groupedSubcommands: [
            CommandGroup(
                name: "Model", subcommands: [InspectCommand.self, ConvertCommand.self, QuantizeCommand.self]),
            CommandGroup(name: "Text", subcommands: [GenerateCommand.self, ChatCommand.self, ServeCommand.self]),
            CommandGroup(name: "Training", subcommands: [TrainCommand.self, SelectCommand.self, ReportCommand.self]),
            CommandGroup(
                name: "Measuring", subcommands: [PerplexityCommand.self, EvaluateCommand.self, BenchCommand.self]),
        ])

    /// All that there are, with those that help does not show.
    private static var commands: [any ParsableCommand.Type] {
        configuration.subcommands + configuration.groupedSubcommands.flatMap { $0.subcommands }
    }

    static func main() {
        StandardStreams.prepare()
        // A reader that goes away is an error of writing, after which there may be something to save.
        let isBrokenPipeIgnored = Interrupt.ignore(SIGPIPE)
        // So is a file that may grow no more.
        Interrupt.ignore(SIGXFSZ)
        Interrupt.install()
        do {
            let words = Array(CommandLine.arguments.dropFirst())
            try CommandWords.check(words, commands: commands.compactMap { $0.configuration.commandName })
            try ForeignOption.check(words)
            var command = try parseAsRoot(CommandWords.joiningNegativeNumbers(words))
            try command.run()
            try Output.finish()
            Foundation.exit(0)
        } catch {
            let error = misspelled(error) ?? spoken(error)
            Foundation.exit(end(error, isBrokenPipeIgnored: isBrokenPipeIgnored))
        }
    }

    /// The error of a library in the command line's words.
    private static func spoken(_ error: any Error) -> any Error {
        let text = FlagWords.text(of: error)
        return text == "\(error)" ? error : Failure(text)
    }

    /// What is said in place of `error` where an option is written that its command does not have: what then is missing follows
    /// from that.
    private static func misspelled(_ error: any Error) -> (any Error)? {
        let words = Array(CommandLine.arguments.dropFirst())
        guard exitCode(for: error) == .validationFailure, let first = words.first,
            let command = commands.first(where: { $0.configuration.commandName == first })
        else { return nil }
        return CommandWords.misspelling(words, help: helpMessage(for: command, includeHidden: true))
    }

    /// Shows what ended the program.
    /// - Returns: the exit code.
    private static func end(_ error: any Error, isBrokenPipeIgnored: Bool) -> Int32 {
        // Who started the program can ask to be told of a reader that has gone away; others know it.
        if let failure = error as? Output.Failure, failure.isReaderGone, !isBrokenPipeIgnored { return 128 + SIGPIPE }
        let (code, text) = (exitCode(for: error), fullMessage(for: error))
        guard code.isSuccess else {
            let message = _errorPrefix + self.message(for: error)
            if text.hasPrefix(message) {
                Terminal.note(message)
                // The usage, after a command line that cannot be understood.
                let rest = text.dropFirst(message.count).drop { $0 == "\n" }
                if !rest.isEmpty { Terminal.lines(rest) }
            } else if !text.isEmpty {
                Terminal.lines(text)
            }
            return ExitKind.code(code, message: self.message(for: error))
        }
        // What was asked for: the help or the version.
        do {
            try Output.text(text + "\n")
            try Output.finish()
            return 0
        } catch { return end(error, isBrokenPipeIgnored: isBrokenPipeIgnored) }
    }
}
