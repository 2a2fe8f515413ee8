import Checkpoints
import Foundation
import Generation
import Models
import Tokenizers

/// Reads a text once, and goes on from it in several ways: states MODEL FILE
@main
struct States {
    static func main() throws {
        guard CommandLine.arguments.count == 3 else { return print("states MODEL FILE") }
        let files = try ModelFiles.open(CommandLine.arguments[1])
        guard let tokenizer = try Tokenizer.load(files) else { return print("the model has no tokenizer") }
        let model = try DecoderModel.load(files)
        let session = try GenerationSession(model)
        try session.read(tokenizer.encode(String(contentsOfFile: CommandLine.arguments[2], encoding: .utf8)))

        // Kept in a file, which a later program loads in place of reading the text again.
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID()).state").path
        var states = OwnStates()
        try states.save(session, to: file)
        defer { try? FileManager.default.removeItem(atPath: file) }
        let restored = try StateFile(path: file, model: model).session
        print("\(restored.state.position) tokens read, a state of \(restored.state.byteCount) bytes")

        // Forked, the session itself stays where it is.
        for question in [" In short,", " Then"] {
            let fork = try restored.fork()
            try fork.read(tokenizer.encode(continuing: question))
            var (text, sampler) = (question, try Sampler())
            _ = try fork.continueText(
                limit: 16, sampler: &sampler, tokenizer: tokenizer,
                stops: tokenizer.stops(model.configuration.decoder.eosTokens), strings: StopStrings()
            ) { piece in
                text += piece
                return true
            }
            print(text)
        }
    }
}
