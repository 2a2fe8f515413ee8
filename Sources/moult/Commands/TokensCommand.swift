import ArgumentParser
import Foundation
import Models
import Text
import Tokenizers

/// Prints a text's token ids as a JSON list, for comparison with another implementation.
struct TokensCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "debug-tokens", abstract: "Print the token ids of a text.", shouldDisplay: false)

    @Argument(help: "A Hugging Face folder or a .gguf file.") var model: String
    @Option(help: "A UTF-8 text file.") var data: String
    @Flag(help: "Put the tokens around it with which the model's texts begin and end.") var special = false
    @Flag(help: "Print the text that the token ids stand for, special tokens included.") var decode = false

    func run() throws {
        let tokenizer = try WeightOptions.tokenizer(model)
        let ids = try tokenizer.encode(TextFile.read(data), addSpecialTokens: special)
        guard !decode else { return try Output.text(tokenizer.decode(ids, skipSpecialTokens: false)) }
        try Output.text("[\(ids.map(String.init).joined(separator: ","))]\n")
    }
}
