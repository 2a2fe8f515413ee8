import ArgumentParser
import Checkpoints
import Generation
import Models
import Tensors
import Tokenizers

struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Time reading and generation, at chosen depths of context.")

    @Argument(help: "A Hugging Face folder or a .gguf file.") var model: String
    @Option(help: "Tokens to read in one call.") var prefill = 512
    @Option(help: "Tokens to generate at each depth.") var decode = 128
    @Option(help: ArgumentHelp("Tokens of context before generation starts, such as 16,4096.", valueName: "tokens"))
    var depth = LayerList([16])
    @Option(help: "Times to repeat each; the median is shown.") var repeats = 3
    @OptionGroup var weights: WeightOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard prefill > 0, decode > 0, repeats > 0, depth.layers.allSatisfy({ $0 > 0 }) else {
            throw ValidationError("--prefill, --decode, --depth and --repeats: expected 1 or more.")
        }
    }

    func run() throws {
        let model = try weights.loadModel(self.model)
        let vocabulary = model.configuration.decoder.vocabularySize
        /// Tokens that exercise the model without a tokenizer: spread over the vocabulary, always the same.
        func tokens(_ count: Int) -> [Int32] { (0..<count).map { Int32(($0 &* 7919 &+ 11) % vocabulary) } }
        func time(_ body: () throws -> Void) rethrows -> Double {
            let start = ContinuousClock.now
            try body()
            return start.duration(to: .now) / .seconds(1)
        }
        let bar = ProgressBar("bench", total: repeats + depth.layers.count, unit: .steps)
        defer { bar.finish() }
        _ = try model.nextLogits(tokens(prefill), state: model.makeState())  // warm-up: pages in the weights
        var prefillRates: [Double] = []
        for index in 0..<repeats {
            let state = try model.makeState()
            prefillRates.append(
                Double(prefill) / (try time { _ = try model.nextLogits(tokens(prefill), state: state) }))
            try bar.update(index + 1, note: "prefill")
        }
        var decodes: [(depth: Int, rate: Double, state: Int)] = []
        for (index, depth) in depth.layers.enumerated() {
            let session = try GenerationSession(model)
            try session.read(tokens(depth)) { _, _ in try Interrupt.check() }
            let step = try DecoderStep(model)
            var rates: [Double] = []
            for _ in 0..<repeats {
                let fork = session.state.copy()
                var token: Int32 = 1
                let seconds = try time {
                    for _ in 0..<decode {
                        token = (token &* 31 &+ 7) % Int32(vocabulary)
                        try step.read([token], states: [fork])
                    }
                }
                rates.append(Double(decode) / seconds)
            }
            decodes.append((depth, median(rates), session.state.byteCount))
            try bar.update(repeats + index + 1, note: "decode at \(depth)")
        }
        bar.finish()
        if output.json {
            return output.print([
                "model": .string(self.model), "backend": .string(Device.cpu.backend.name),
                "prefill": .object(["tokens": .integer(prefill), "tokens_per_second": .number(median(prefillRates))]),
                "decode": .array(
                    decodes.map {
                        .object([
                            "depth": .integer($0.depth), "tokens": .integer(decode),
                            "tokens_per_second": .number($0.rate),
                            "state_bytes": .integer($0.state),
                        ])
                    }),
                "peak_memory_bytes": .integer(peakMemory()),
            ])
        }
        print(String(format: "prefill %6d tokens   %9.1f tok/s", prefill, median(prefillRates)))
        for line in decodes {
            print(
                String(
                    format: "decode after %8d   %7.1f tok/s   state %@", line.depth, line.rate, megabytes(line.state)))
        }
    }

    private func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
}
