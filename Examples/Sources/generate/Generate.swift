import Checkpoints
import Generation
import Models
import Tokenizers

/// Continues a text: generate MODEL TEXT
@main
struct Generate {
    static func main() throws {
        guard CommandLine.arguments.count == 3 else { return print("generate MODEL TEXT") }
        let files = try ModelFiles.open(CommandLine.arguments[1])
        guard let tokenizer = try Tokenizer.load(files) else { return print("the model has no tokenizer") }
        let model = try DecoderModel.load(files)
        let session = try GenerationSession(model)
        try session.read(tokenizer.encode(CommandLine.arguments[2]))
        var sampler = try Sampler(temperature: 0.8, topP: 0.95, seed: 1)
        _ = try session.continueText(
            limit: 64, sampler: &sampler, tokenizer: tokenizer,
            stops: tokenizer.stops(model.configuration.decoder.eosTokens), strings: StopStrings()
        ) { piece in
            print(piece, terminator: "")
            return true
        }
        print()
    }
}
