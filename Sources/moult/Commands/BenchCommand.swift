import ArgumentParser
import Checkpoints
import Generation
import Models
import Support
import Tensors

struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Time reading and generation, at chosen depths of context.",
        discussion: """
            Every figure is the median of the repetitions, with their mean and standard deviation; a first repetition \
            warms up and is left out. Decoding reads every weight once a token: its share of the memory's bandwidth is \
            bytes of weights × tokens per second over what the memory gives to a loop that only reads them, or on a GPU to a \
            copy, or to decoding itself where that was faster.

            Example: moult bench student --depth 16,4096
            """)

    enum Format: String, ExpressibleByArgument, CaseIterable { case table, md, csv, json }

    @OptionGroup var model: ModelArgument
    @Option(help: ArgumentHelp("Tokens to read in one call, such as 512,4096; 0 for none.", valueName: "tokens"))
    var prefill = IntegerList([512])
    @Option(help: "Tokens to generate at each depth; 0 for none.") var decode = 128
    @Option(help: ArgumentHelp("Tokens of context before generation starts, such as 16,4096.", valueName: "tokens"))
    var depth = IntegerList([16])
    @Option(help: ArgumentHelp("Sequences that generate at once, such as 1,8.", valueName: "sequences"))
    var batch = IntegerList([1])
    @Option(help: "Times to repeat each.") var repeats = 5
    @Option(help: "How to print the results: table, md, csv or json.") var format = Format.table
    @OptionGroup var weights: WeightOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        // So that no sum of all work overflows.
        func check(_ name: String, _ values: [Int], _ range: ClosedRange<Int>) throws {
            guard values.count <= 64 else {
                throw ValidationError("--\(name): expected at most 64 numbers, found \(values.count).")
            }
            for value in values where !range.contains(value) {
                throw ValidationError(
                    "--\(name): expected \(range.lowerBound) to \(range.upperBound), found \(value).")
            }
        }
        try check("prefill", prefill.values, 0...1 << 24)
        try check("decode", [decode], 0...1 << 24)
        try check("depth", depth.values, 0...1 << 24)
        try check("batch", batch.values, 1...4096)
        try check("repeats", [repeats], 1...1000)
    }

    func run() throws {
        let model = try weights.loadModel(self.model.path)
        let benchmark = SpeedBenchmark(
            prefill: prefill.values.filter { $0 > 0 }, depths: decode > 0 ? depth.values : [], batches: batch.values,
            decode: decode, repeats: repeats)
        let bar = ProgressBar("bench", total: benchmark.work(on: model.device), unit: .tokens)
        defer { bar.finish() }
        let step = model.device.traits.readsInStep ? nil : try DecoderStep(model)
        let weights = step?.weights ?? []
        let weightBytes = step?.weightBytes ?? model.stepWeightBytes
        let measured = try MemoryBandwidth.measure(weights, on: model.device)
        var results: [SpeedBenchmark.Result] = []
        try benchmark.run(model) { done, kind in
            try bar.update(done, note: Self.name(kind))
        } emit: {
            results.append($0)
        }
        bar.finish()
        let summary = Summary(
            model: self.model.path, backend: try model.device.backend.name, weightBytes: weightBytes,
            bandwidth: SpeedBenchmark.bandwidth(measured: measured, results, weightBytes: weightBytes),
            decode: decode, results: results)
        switch output.json ? .json : format {
        case .table: try summary.printTable()
        case .md: try summary.printMarkdown()
        case .csv: try summary.printCSV()
        case .json: try output.print(summary.json)
        }
    }

    static func name(_ kind: SpeedBenchmark.Kind) -> String {
        switch kind {
        case .prefill(let tokens, 1): "prefill \(tokens)"
        case .prefill(let tokens, let batch): "prefill \(tokens), \(batch) sequences"
        case .decode(let depth, 1): "decode after \(depth)"
        case .decode(let depth, let batch): "decode after \(depth), \(batch) sequences"
        }
    }
}

extension BenchCommand {
    /// The results of a benchmark, in the forms in which they are printed.
    struct Summary {
        let model: String
        let backend: String
        let weightBytes: Int
        /// Bytes per second.
        let bandwidth: Double
        let decode: Int
        let results: [SpeedBenchmark.Result]

        /// The part of the memory's bandwidth that reading the weights takes up; nil for reading prompts.
        func bandwidthShare(_ result: SpeedBenchmark.Result) -> Double? {
            result.weightRate(result.median, weightBytes: weightBytes).map { $0 / bandwidth }
        }

        func printTable() throws {
            for result in results {
                var line = name(result.kind).padded(to: 34)
                line += String(format: "%9.1f tok/s  ± %5.1f", result.median, result.standardDeviation)
                if let share = bandwidthShare(result) {
                    line +=
                        String(format: "   %3.0f%% of bandwidth   state ", 100 * share)
                        + ByteCount.text(result.stateBytes)
                }
                try Output.line(line)
            }
            try Output.line(
                "weights \(ByteCount.text(weightBytes)), memory reads \(String(format: "%.1f", bandwidth / 1e9)) GB/s, "
                    + "\(backend)"
            )
        }

        func printMarkdown() throws {
            try Output.line("| test | tok/s | mean ± sd | share of bandwidth | state |\n|---|---|---|---|---|")
            for result in results {
                let share = bandwidthShare(result).map { String(format: "%.0f%%", 100 * $0) } ?? ""
                try Output.line(
                    "| \(name(result.kind)) | " + String(format: "%.1f", result.median)
                        + String(format: " | %.1f ± %.1f | ", result.mean, result.standardDeviation)
                        + "\(share) | \(result.stateBytes > 0 ? ByteCount.text(result.stateBytes) : "") |")
            }
            try Output.line("\n\(model), weights \(ByteCount.text(weightBytes)), \(backend)")
        }

        func printCSV() throws {
            try Output.line("test,tokens,depth,batch,median,mean,sd,bandwidth_share,state_bytes,weight_bytes")
            for result in results {
                let (tokens, depth, batch) = numbers(result.kind)
                let share = bandwidthShare(result).map { String(format: "%.4f", $0) } ?? ""
                try Output.line(
                    "\(isPrefill(result) ? "prefill" : "decode"),\(tokens),\(depth),\(batch),"
                        + String(
                            format: "%.3f,%.3f,%.3f,", result.median, result.mean, result.standardDeviation)
                        + "\(share),\(result.stateBytes),\(weightBytes)")
            }
        }

        var json: JSONObject {
            func entry(_ result: SpeedBenchmark.Result) -> JSONValue {
                let (tokens, depth, batch) = numbers(result.kind)
                var object: JSONObject = [
                    "tokens": .integer(tokens), "tokens_per_second": .number(result.median),
                    "mean": .number(result.mean), "standard_deviation": .number(result.standardDeviation),
                    "samples": .array(result.rates.map { .number($0) }), "batch": .integer(batch),
                ]
                if let share = bandwidthShare(result) {
                    object["depth"] = .integer(depth)
                    object["bandwidth_share"] = .number(share)
                    object["state_bytes"] = .integer(result.stateBytes)
                }
                return .object(object)
            }
            return [
                "model": .string(model), "backend": .string(backend), "weight_bytes": .integer(weightBytes),
                "memory_bandwidth": .number(bandwidth),
                "prefill": .array(results.filter(isPrefill).map(entry)),
                "decode": .array(results.filter { !isPrefill($0) }.map(entry)),
                "peak_memory_bytes": .integer(peakMemory()),
            ]
        }

        private func name(_ kind: SpeedBenchmark.Kind) -> String { BenchCommand.name(kind) }

        private func isPrefill(_ result: SpeedBenchmark.Result) -> Bool {
            if case .prefill = result.kind { true } else { false }
        }

        private func numbers(_ kind: SpeedBenchmark.Kind) -> (tokens: Int, depth: Int, batch: Int) {
            switch kind {
            case .prefill(let tokens, let batch): (tokens, 0, batch)
            case .decode(let depth, let batch): (decode, depth, batch)
            }
        }
    }
}
