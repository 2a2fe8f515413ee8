import ArgumentParser
import Checkpoints
import Conversion
import Foundation
import Tokenizers

struct QuantizeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quantize",
        abstract: "Round a model's weights to 8 or 4 bits.",
        discussion: """
            The output is a Hugging Face folder that every command but train reads in place. With --calibration, the rounding of
            each weight makes up for the errors of others on that text; use text like what the model is for, and not
            the text on which it is measured.

            Example: moult quantize student --output student-q4 --bits 4 --calibration text.txt
            """)

    @Argument(help: "A Hugging Face folder or a .gguf file.") var model: String
    @Option(help: "Folder to write; must not exist.") var output: String
    @Option(help: "Bits of a weight: 8 or 4.") var bits: Int
    @Option(help: "Bits of a weight of the embedding and the head: 8 or 4. (default: 8)") var embeddingBits: Int?
    @Option(help: "Inputs that share a scale; 32 is the only size there is.") var groupSize = 32
    @Option(
        help: ArgumentHelp("Text to calibrate the rounding on: \(TextOptions.names).", valueName: "text"))
    var calibration: String?
    @OptionGroup var text: TextOptions
    @Option(help: "Tokens of the calibration text to use, from its start.") var calibrationTokens = 16_384
    @OptionGroup var format: OutputOptions

    /// Tokens that the model reads at a time while it is calibrated.
    private static let pieceLength = 1024

    func validate() throws {
        guard (1...16_777_216).contains(calibrationTokens) else {
            throw ValidationError("--calibration-tokens: expected 1 to 16777216, found \(calibrationTokens).")
        }
    }

    func run() throws {
        let files = try ModelFiles.noted(model)
        var options = QuantisationOptions()
        (options.bits, options.embeddingBits, options.groupSize) = (bits, embeddingBits, groupSize)
        // Whatever is wrong with the rest is said before a text is read.
        _ = try ModelQuantiser(files, options: options)
        options.calibration = try calibration.map(pieces) ?? []
        options.calibrationText = calibration.map { URL(fileURLWithPath: $0).lastPathComponent }
        let quantiser = try ModelQuantiser(files, options: options)
        Interrupt.hold()
        let bar = ProgressBar("quantising", total: 1, unit: .parameters)
        defer { bar.finish() }
        let report = try quantiser.run(output: output) { done, total, name in
            try bar.update(done, of: total, note: name)
        }
        bar.finish()
        if format.json {
            var json = report.json
            json["output"] = .string(output)
            return try format.print(json)
        }
        try Output.line("wrote \(output)")
        try Output.line(report.summary)
        if bits == 4, calibration == nil {
            Terminal.note("note: 4 bits usually lose less with --calibration TEXT; see docs/quantisation.md")
        }
    }

    /// The tokens of the text at `path`, in pieces that begin as a text does.
    private func pieces(_ path: String) throws -> [[Int32]] {
        let tokenizer = try WeightOptions.tokenizer(model)
        let tokens = try text.tokens(path, tokenizer, limit: calibrationTokens, special: false)
        guard !tokens.isEmpty else { throw Failure("\(path): no text to calibrate on.") }
        return stride(from: 0, to: tokens.count, by: Self.pieceLength).map {
            tokenizer.textPrefix + tokens[$0..<min($0 + Self.pieceLength, tokens.count)]
        }
    }
}
