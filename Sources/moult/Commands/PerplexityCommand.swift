import ArgumentParser
import Checkpoints
import Evaluation
import Models
import Support
import Text

struct PerplexityCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "perplexity", abstract: "Measure how well a model predicts a text.",
        discussion: """
            The text is read in windows without overlap, each without what came before; a rest shorter than a window is \
            left out, and a shorter text is one window. A file of text is one text. The documents of other files, folders and \
            patterns come one behind another as in training, and none sees another.

            Example: moult perplexity student --data held.txt --by-position
            """)

    @OptionGroup var model: ModelArgument
    @Option(help: ArgumentHelp("A text file, or documents: \(TextOptions.names).", valueName: "file")) var data: String
    @OptionGroup var text: TextOptions
    @Option(help: "Tokens per window.") var window = 1024
    @Option(help: "The most windows to read. (default: all)") var limit: Int?
    @Flag(help: "Show perplexity by position in the window, and of each tenth of it.") var byPosition = false
    @OptionGroup var weights: WeightOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard (1...1_048_576).contains(window) else {
            throw ValidationError("--window: expected 1 to 1048576, found \(window).")
        }
        if let limit, limit < 1 { throw ValidationError("--limit: expected 1 or more, found \(limit).") }
    }

    func run() throws {
        let result = try measure()
        let peak = peakMemory()
        if output.json {
            var json: JSONObject = [
                "model": .string(self.model.path), "data": .string(data), "window": .integer(window),
                "perplexity": .number(result.perplexity), "bits_per_byte": .number(result.bitsPerByte),
                "tokens": .integer(result.tokens), "windows": .integer(result.windows),
                "available_windows": result.availableWindows.map { .integer($0) } ?? .null,
                "tokens_per_second": .number(result.tokensPerSecond), "peak_memory_bytes": .integer(peak),
            ]
            if byPosition {
                func perplexities(_ ranges: [Range<Int>]) -> JSONValue {
                    .array(
                        ranges.map {
                            .object([
                                "from": .integer($0.lowerBound), "to": .integer($0.upperBound),
                                "perplexity": .number(result.perplexity(at: $0)),
                            ])
                        })
                }
                json["by_position"] = perplexities(result.positionRanges)
                json["tenths"] = perplexities(result.tenths)
            }
            return try output.print(json)
        }
        try Output.line("perplexity    \(String(format: "%.3f", result.perplexity))")
        try Output.line("bits per byte \(String(format: "%.4f", result.bitsPerByte))")
        let available = result.availableWindows.map { "of \($0) " } ?? ""
        try Output.line("tokens        \(grouped(result.tokens)) in \(result.windows) \(available)windows")
        try Output.line("speed         \(String(format: "%.0f", result.tokensPerSecond)) tok/s")
        try Output.line("peak memory   \(ByteCount.text(peak))")
        guard byPosition else { return }
        try Output.line("\nposition          perplexity")
        for range in result.positionRanges + result.tenths {
            let label = "\(range.lowerBound) to \(range.upperBound - 1)"
            try Output.line("\(label.padded(to: 18))\(String(format: "%.2f", result.perplexity(at: range)))")
        }
    }

    private func measure() throws -> Perplexity {
        // What is wrong with the text is said before a model is read.
        let text = DataSource.isText(data) ? try TextFile.read(data) : nil
        let tokenizer = try WeightOptions.tokenizer(model.path)
        let (most, isAll) = (limit ?? 0).multipliedReportingOverflow(by: window)
        let documents =
            text == nil
            ? try self.text.documents(data, tokenizer, limit: limit == nil || isAll ? .max : most + 1) : nil
        let model = try weights.loadModel(self.model.path)
        let bar = ProgressBar("perplexity", total: limit ?? 1, unit: .windows)
        defer { bar.finish() }
        func progress(_ done: Int, _ total: Int, _ perplexity: Double) throws {
            try bar.update(done, of: total, note: String(format: "perplexity %.2f", perplexity))
        }
        if let documents {
            return try Perplexity.measure(
                model, tokenizer: tokenizer, documents: documents, window: window, limit: limit, progress: progress)
        }
        return try Perplexity.measure(
            model, tokenizer: tokenizer, text: text ?? "", window: window, limit: limit, progress: progress)
    }
}
