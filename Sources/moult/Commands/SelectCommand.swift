import ArgumentParser
import Checkpoints
import Foundation
import Models
import Support
import Tensors
import Tokenizers
import Training

struct SelectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "select",
        abstract: "Find the attention heads that a student needs in order to remember.",
        discussion: """
            In an aligned student one layer after the other, then its key/value heads, get the teacher's softmax attention
            back; what brings most of the recall is chosen, then what helps most beside it. The student is not changed:
            convert --keep-attention takes the result, and train has a stage select=HEADS that goes on with it.

            Example: moult select run/student --teacher SmolLM2-135M --heads 3
            """)

    @Argument(help: "The student: a folder that 'moult convert' or 'moult train' wrote, aligned with its teacher.")
    var student: String
    @Option(help: "The Transformer it was made from: a Hugging Face folder or a .gguf file.") var teacher: String
    @Option(help: "Key/value heads to choose at most. (default: 3)") var heads: Int?
    @Option(help: "Whole layers to choose at most, instead of heads.") var layers: Int?
    @Option(
        help: ArgumentHelp(
            "Text on which the distance from the teacher is shown too: \(TextOptions.names).", valueName: "file"))
    var data: String?
    @OptionGroup var text: TextOptions
    @Option(help: "Seed of the lists that are recalled.") var seed: UInt64 = 0
    @Option(
        help: ArgumentHelp("Write the selection to a file, which convert --keep-attention takes.", valueName: "file"))
    var output: String?
    @Option(help: "Where to compute: cpu, cuda, or cuda:1 for another GPU.") var device = Device.cpu
    @OptionGroup var format: OutputOptions

    /// By which a selection is known when it is to be replaced.
    private static let beginning = Array("{\n  \"keep_attention\"".utf8)

    /// Says in the errors of `body` which file they are of.
    private static func filing<Result>(_ path: String, _ body: () throws -> Result) throws -> Result {
        do { return try body() } catch let fault as RegularFile.Fault {
            throw CheckpointError.unwritable(path: path, reason: fault.description)
        }
    }

    /// Tokens of the text that are read, as rows of 256.
    private static let (textRows, rowLength) = (1, 256)

    func validate() throws {
        if heads != nil, layers != nil {
            throw ValidationError("--heads or --layers: expected one of them, found both.")
        }
        for (name, value) in [("--heads", heads), ("--layers", layers)] {
            guard let value, !HeadSelection.Options.counts.contains(value) else { continue }
            let range = HeadSelection.Options.counts
            throw ValidationError("\(name): expected \(range.lowerBound) to \(range.upperBound), found \(value).")
        }
    }

    func run() throws {
        let tokenizer = try WeightOptions.tokenizer(student)
        let texts = try data.map { try rows($0, tokenizer) } ?? []
        let check = try SelectionModels(student: student, teacher: teacher, tokenizer: tokenizer, device: device)
        // Before anything is computed.
        let file = try output.map { path in
            try Self.filing(path) { try StagedFile(path: path, replacing: .file(beginning: Self.beginning)) }
        }
        Interrupt.hold()
        let bar = ProgressBar("selecting", total: 1)
        defer { bar.finish() }
        var selection = try HeadSelection(
            .init(count: layers ?? heads ?? 3, wholeLayers: layers != nil), student: check.student,
            teacher: check.teacher, probe: SelectionProbe(tokenizer: tokenizer, texts: texts, seed: seed)
        ) { try bar.update($0, of: $1) }
        let result = try selection.run()
        bar.finish()
        if let file {
            let text = JSONValue.object(result.json).text(indented: true) + "\n"
            try Self.filing(file.path) {
                try Array(text.utf8).withUnsafeBytes { try file.write($0, at: 0) }
                try file.publish()
            }
        }
        if format.json { return try format.print(result.json) }
        for line in result.table() { try Output.line(line) }
    }

    private func rows(_ path: String, _ tokenizer: Tokenizer) throws -> [[Int32]] {
        let tokens = try text.tokens(path, tokenizer, limit: Self.textRows * Self.rowLength, special: true)
        return (0..<Self.textRows).map { Array(tokens.dropFirst($0 * Self.rowLength).prefix(Self.rowLength)) }
    }
}
