import ArgumentParser
import Checkpoints
import Conversion
import Foundation
import Models
import Support
import Tensors
import Text

struct ConvertCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "convert",
        abstract: "Build a recurrent model from a Transformer, reusing every parameter that fits.",
        discussion: """
            The output is a Hugging Face folder with a model card. With --profile fla it loads in
            flash-linear-attention (mixers gsa, gla and retention).

            Example: moult convert SmolLM2-135M --output student
            """)

    @Argument(help: "The Transformer: a Hugging Face folder or a .gguf file.") var source: String
    @Option(help: "Folder to write; must not exist.") var output: String?
    @Option(
        help: ArgumentHelp(
            "What replaces softmax attention: one mixer, or some layers' own, such as 0-9=gsa,10=attention.",
            valueName: "mixer or layers"))
    var mixer = ConversionOptions.defaultMixer
    @Option(help: "softmax-preserving keeps rotary positions, scale and values; fla is flash-linear-attention's layer.")
    var profile = MixerProfile.softmaxPreserving
    @Option(help: "Slots per key/value head, of gsa. (default: 16; 64 without a window)") var slots: Int?
    @Option(
        name: .customLong("mixer-option"),
        help: ArgumentHelp(
            "Another option of a mixer, as config.json names it; may be given several times.", valueName: "name=value"))
    var mixerOptions: [String] = []
    @Option(help: "Tokens of local softmax attention beside the mixer; 0: none. (default: 112; 0 with --profile fla)")
    var window: Int?
    @Option(help: "First tokens that bounded softmax attention sees too. (default: 4; 0 with --profile fla)")
    var sinks: Int?
    @Option(
        help: ArgumentHelp(
            "What keeps softmax attention: layers, such as 7,18, key/value heads, such as 18:2,8:0, or a file of select.",
            valueName: "layers or heads"))
    var keepAttention: String?
    @Option(help: "Tokens that kept attention sees; 0 for all. (default: 4096; 0 with --profile fla)")
    var attentionWindow: Int?
    @Option(
        help: ArgumentHelp(
            "What positions in kept attention are divided by, such as 4, to see further than the source; or none for no positions.",
            valueName: "factor"))
    var attentionPositions = "1"
    @Flag(help: "Scale queries of kept attention by the logarithm of the tokens they see, beyond the source's length.")
    var attentionLogScale = false
    @Option(help: "Type of weight matrices: f32 or bf16. (default: the source's; bf16 when it is quantised)")
    var dtype: WeightType?
    @Option(help: "Seed of the new parameters.") var seed: UInt64 = 0
    @Flag(help: "Convert weights that are NaN or infinite instead of refusing.") var allowNonFinite = false
    @Flag(help: "Show what would be done and write nothing.") var dryRun = false
    @OptionGroup var format: OutputOptions

    func validate() throws {
        if output == nil, !dryRun { throw ValidationError("--output is needed, or --dry-run.") }
    }

    func run() throws {
        var options = ConversionOptions()
        (options.mixer, options.profile, options.slots, options.window) = (mixer, profile, slots, window)
        (options.seed, options.allowNonFinite, options.dtype) = (seed, allowNonFinite, dtype?.dtype)
        (options.sinks, options.attentionWindow) = (sinks, attentionWindow)
        options.attentionPositions = try Self.positions(attentionPositions)
        options.attentionPositions.hasLogScale = attentionLogScale
        if let keepAttention { options.keptAttention = try Self.kept(keepAttention) }
        for option in mixerOptions { try Self.read(option, into: &options.mixerOptions) }
        let converter = try Converter(ModelFiles.noted(source), options: options)
        guard let output, !dryRun else { return try show(ConversionReport(converter.plan), written: nil) }
        Interrupt.hold()
        let bar = ProgressBar("converting", total: 1, unit: .bytes)
        defer { bar.finish() }
        let report = try converter.run(output: output) { done, total, name in
            try bar.update(done, of: total, note: name)
        }
        bar.finish()
        try show(report, written: output)
    }

    /// Reads "name=value", where the value is JSON, or else a text.
    private static func read(_ option: String, into options: inout JSONObject) throws {
        let sides = option.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard sides.count == 2, !sides[0].isEmpty, options[sides[0]] == nil else {
            throw ValidationError("--mixer-option: expected NAME=VALUE, each name once; found '\(option)'.")
        }
        let value = try? JSONValue(parsing: Data(sides[1].utf8), file: "--mixer-option")
        options[sides[0]] = value ?? .string(sides[1])
    }

    private static func positions(_ text: String) throws -> AttentionPositions {
        if let positions = AttentionPositions(text) { return positions }
        throw ValidationError("--attention-positions: expected \(AttentionPositions.expected); found '\(text)'.")
    }

    /// Reads "7,18:2", or what `moult select --output` wrote.
    private static func kept(_ text: String) throws -> KeptAttention {
        guard text.hasSuffix(".json") else {
            if let kept = KeptAttention(text) { return kept }
            throw ValidationError(
                "--keep-attention: expected layers such as 7,18, heads such as 18:2,8:0, or a .json file that 'moult select "
                    + "--output' wrote; found '\(text)'.")
        }
        let json = try JSONValue(parsing: Data(TextFile.read(text).utf8), file: text)
        guard let names = json["keep_attention"]?.stringValue, let kept = names.isEmpty ? [] : KeptAttention(names)
        else {
            throw ValidationError(
                "--keep-attention: \(text): expected a file that 'moult select --output' wrote, found no 'keep_attention' in it."
            )
        }
        return kept
    }

    private func show(_ report: ConversionReport, written: String?) throws {
        if format.json {
            guard case .object(var json) = report.json else { return }
            json["output"] = written.map { .string($0) } ?? .null
            return try format.print(json)
        }
        try Output.line(written.map { "wrote \($0)" } ?? "plan (nothing written)")
        try Output.line(report.summary)
    }
}

/// The types that weight matrices may have.
enum WeightType: String, ExpressibleByArgument, CaseIterable {
    case f32, bf16
    var dtype: DType { self == .f32 ? .float32 : .bfloat16 }
}

extension MixerProfile: ExpressibleByArgument {}
