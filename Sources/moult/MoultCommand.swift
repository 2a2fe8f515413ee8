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
            With --json, standard output holds one JSON object and nothing else; progress goes to standard error.
            """,
        version: Moult.version,
        subcommands: [
            InspectCommand.self, ConvertCommand.self, TrainCommand.self, SelectCommand.self, ReportCommand.self,
            PerplexityCommand.self,
            EvaluateCommand.self,
            QuantizeCommand.self, GenerateCommand.self, ChatCommand.self, BenchCommand.self, LogitsCommand.self,
            TokensCommand.self,
        ])

    static func main() {
        StandardStreams.prepare()
        // A reader that goes away is an error of writing, after which there may be something to save.
        let isBrokenPipeIgnored = Interrupt.ignore(SIGPIPE)
        // So is a file that may grow no more.
        Interrupt.ignore(SIGXFSZ)
        Interrupt.install()
        do {
            try ForeignOption.check(Array(CommandLine.arguments.dropFirst()))
            var command = try parseAsRoot()
            try command.run()
            try Output.finish()
            Foundation.exit(0)
        } catch {
            Foundation.exit(end(error, isBrokenPipeIgnored: isBrokenPipeIgnored))
        }
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
            return code.rawValue
        }
        // What was asked for: the help or the version.
        do {
            try Output.text(text + "\n")
            try Output.finish()
            return 0
        } catch { return end(error, isBrokenPipeIgnored: isBrokenPipeIgnored) }
    }
}
