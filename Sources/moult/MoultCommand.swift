import ArgumentParser
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
            InspectCommand.self, ConvertCommand.self, TrainCommand.self, ReportCommand.self, PerplexityCommand.self,
            EvaluateCommand.self,
            QuantizeCommand.self, GenerateCommand.self, ChatCommand.self, BenchCommand.self, LogitsCommand.self,
            TokensCommand.self,
        ])
}
