import ArgumentParser
import Checkpoints
import Foundation
import Models
import Support

/// Writes the logits of given token ids, for comparison with another implementation.
struct LogitsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "debug-logits", abstract: "Write the logits of token ids as safetensors.", shouldDisplay: false)

    @Argument(help: "A Hugging Face folder or a .gguf file.") var model: String
    @Option(help: "A JSON file: a list of lists of token ids, all of one length.") var tokens: String
    @Option(help: "Folder to write model.safetensors to, with the tensor 'logits' (rows, tokens, vocabulary).")
    var output: String
    @OptionGroup var weights: WeightOptions

    func run() throws {
        let model = try weights.loadModel(self.model)
        let ids: [[Int32]]
        do {
            ids = try JSONDecoder().decode([[Int32]].self, from: RegularFile.contentsOrPipe(tokens))
        } catch {
            throw Failure("\(tokens): expected a JSON list of lists of token ids.")
        }
        let logits = try model.logits(ids)
        try FileManager.default.createDirectory(atPath: output, withIntermediateDirectories: true)
        let writer = try SafetensorsWriter(directory: output, tensors: [("logits", logits.shape, logits.dtype)])
        try writer.append(logits)
        try writer.finish()
    }
}
