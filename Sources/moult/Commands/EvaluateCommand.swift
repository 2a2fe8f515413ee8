import ArgumentParser
import Checkpoints
import Evaluation
import Models

struct EvaluateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "evaluate", abstract: "Measure a model on published tasks and on recall from long contexts.",
        discussion: """
            lambada, piqa, arc_easy and openbookqa read their questions from the folder of --data, and are scored as \
            lm-evaluation-harness does, without examples before a question. recall and needle make their own texts. \
            See docs/evaluation.md.
            """)

    @Argument(help: "A Hugging Face folder or a .gguf file.") var model: String
    @Option(help: "Tasks separated by commas: lambada, piqa, arc_easy, openbookqa, recall, needle.") var tasks: TaskList
    @Option(help: "The folder of the tasks' files; with a filler.txt, the needle is put into that text.")
    var data: String?
    @Option(help: "The most examples of each task, length and depth. (default: all; recall 20, needle 10)")
    var limit: Int?
    @Option(
        help: ArgumentHelp(
            "Tokens of context of recall and needle, such as 256,1024. (default: 256,1024,4096 and 1024,4096,16384)",
            valueName: "tokens"))
    var length: IntegerList?
    @Option(help: ArgumentHelp("Where the needle stands, per cent of the text before it.", valueName: "per cent"))
    var depth = IntegerList([0, 25, 50, 75, 100])
    @Option(help: "Seed of the texts of recall and needle.") var seed: UInt64 = 0
    @Flag(help: "Add the log-likelihood of every choice of every example to --json.") var samples = false
    @OptionGroup var weights: WeightOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        if let limit, !(1...1 << 30).contains(limit) {
            throw ValidationError("--limit: expected 1 to \(1 << 30), found \(limit).")
        }
        for length in length?.values ?? [] where !(1...1 << 20).contains(length) {
            throw ValidationError("--length: expected 1 to 1048576, found \(length).")
        }
        for depth in depth.values where !(0...100).contains(depth) {
            throw ValidationError("--depth: expected 0 to 100, found \(depth).")
        }
        if samples, !output.json { throw ValidationError("--samples: expected together with --json.") }
        if data == nil, let task = tasks.values.first(where: { $0.file != nil }) {
            throw ValidationError("--data: \(task.rawValue) needs the folder that holds \(task.file ?? "").")
        }
    }

    func run() throws {
        let tokenizer = try WeightOptions.tokenizer(self.model)
        var options = EvaluationTask.Options()
        (options.data, options.limit, options.seed) = (data, limit, seed)
        (options.lengths, options.depths) = (length?.values, depth.values)
        let groups = try tasks.values.flatMap { try $0.groups(options, tokenizer: tokenizer) }
        let model = try weights.loadModel(self.model)
        let bar = ProgressBar("evaluate", total: groups.reduce(0) { $0 + $1.count })
        defer { bar.finish() }
        var done = 0
        var results: [(group: ExampleGroup, result: ExampleGroup.Result)] = []
        for group in groups {
            results.append(
                (
                    group,
                    try group.evaluate(model, tokenizer: tokenizer) { try bar.update(done + $0, note: group.label) }
                ))
            done += group.count
        }
        bar.finish()
        try output.json ? printJSON(results) : printTable(results)
    }

    private func printTable(_ results: [(group: ExampleGroup, result: ExampleGroup.Result)]) throws {
        try Output.line("task".padded(to: 24) + "metric".padded(to: 14) + "value".padded(to: 22) + "examples")
        for (group, result) in results {
            for metric in result.metrics {
                let error = metric.standardError.map { String(format: " ± %.4f", $0) } ?? ""
                try Output.line(
                    group.label.padded(to: 24) + metric.name.padded(to: 14)
                        + (String(format: "%.4f", metric.value) + error).padded(to: 22) + grouped(result.examples))
            }
        }
    }

    private func printJSON(_ results: [(group: ExampleGroup, result: ExampleGroup.Result)]) throws {
        let entries = results.map { group, result -> JSONValue in
            var object: JSONObject = ["task": .string(group.task.rawValue)]
            object["length"] = group.length.map { .integer($0) }
            object["depth"] = group.depth.map { .integer($0) }
            object["examples"] = .integer(result.examples)
            object["seconds"] = .number(result.seconds)
            object["metrics"] = .object(
                JSONObject(
                    result.metrics.map {
                        let error = $0.standardError.map(JSONValue.number) ?? .null
                        return ($0.name, .object(["value": .number($0.value), "standard_error": error]))
                    }))
            if samples {
                object["samples"] = .array(
                    result.scores.map {
                        .array(
                            $0.map {
                                .object([
                                    "log_likelihood": .number($0.logLikelihood), "is_greedy": .bool($0.isGreedy),
                                ])
                            })
                    })
            }
            return .object(object)
        }
        try output.print([
            "model": .string(model), "seed": .integer(Int(truncatingIfNeeded: seed)), "results": .array(entries),
            "peak_memory_bytes": .integer(peakMemory()),
        ])
    }
}

/// Tasks separated by commas, such as lambada,piqa.
struct TaskList: ExpressibleByArgument {
    let values: [EvaluationTask]

    init?(argument: String) {
        let parts = argument.split(separator: ",", omittingEmptySubsequences: false)
        values = parts.compactMap { EvaluationTask(rawValue: String($0)) }
        guard values.count == parts.count else { return nil }
    }
}
