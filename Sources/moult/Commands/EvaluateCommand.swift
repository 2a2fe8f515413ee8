import ArgumentParser
import Checkpoints
import Evaluation
import Generation
import Models
import Support

struct EvaluateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "evaluate", abstract: "Measure a model on published tasks and on recall from long contexts.",
        discussion: """
            lambada, piqa, arc_easy and openbookqa read their questions from the folder of --data, and are scored as \
            lm-evaluation-harness does, without examples before a question. The others make their own texts: recall \
            and needle, and the tasks of RULER, which are niah_single and niah_multikey (each of them 1 to 3, such as \
            niah_single_1), niah_multivalue, niah_multiquery, variable_tracking, common_words and frequent_words. \
            See docs/evaluation.md.

            Example: moult evaluate student --tasks recall,needle --length 1024
            """)

    @OptionGroup var model: ModelArgument
    @Option(help: "Tasks separated by commas: \(TaskList.names).") var tasks: TaskList
    @Option(
        help: """
            The folder of the tasks' files, which may be compressed (.zst, .gz); with a filler.txt, .jsonl or .parquet, \
            needles are put into that text.
            """)
    var data: String?
    @OptionGroup var text: TextOptions
    @Option(help: "The most examples of each task, length and depth. (default: all; needle 10, other texts 20)")
    var limit: Int?
    @Option(
        help: ArgumentHelp(
            """
            Tokens of context of recall, needle and the tasks of RULER, such as 256,1024. (default: 256,1024,4096; \
            1024,4096,16384; 4096)
            """, valueName: "tokens"))
    var length: IntegerList?
    @Option(
        help: """
            How the tasks of RULER are answered: by generation, as published, or by likelihood among ten, where the \
            answer is one value. (default: generation)
            """)
    var by: EvaluationMethod?
    @Option(help: ArgumentHelp("Where the needle stands, per cent of the text before it.", valueName: "per cent"))
    var depth = IntegerList([0, 25, 50, 75, 100])
    @Option(help: "Seed of the texts that tasks make.") var seed: UInt64 = 0
    @Flag(help: "Add every example to --json: log-likelihoods of its choices, or what was generated.")
    var samples = false
    @OptionGroup var weights: WeightOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        try tasks.check()
        if let limit, !(1...1 << 30).contains(limit) {
            throw ValidationError("--limit: expected 1 to \(1 << 30), found \(limit).")
        }
        for length in length?.values ?? [] where !(1...1 << 20).contains(length) {
            throw ValidationError("--length: expected 1 to 1048576, found \(length).")
        }
        for depth in depth.values where !(0...100).contains(depth) {
            throw ValidationError("--depth: expected 0 to 100, found \(depth).")
        }
        if let by, let task = tasks.values.first(where: { !$0.methods.contains(by) }) {
            throw ValidationError(
                "--by: expected \(task.methods[0]) for \(task.rawValue), which has no other way, found \(by).")
        }
        if samples, !output.json { throw ValidationError("--samples: expected together with --json.") }
        if data == nil, let task = tasks.values.first(where: { $0.file != nil }) {
            throw ValidationError("--data: \(task.rawValue) needs the folder that holds \(task.file ?? "").")
        }
    }

    func run() throws {
        let tokenizer = try WeightOptions.tokenizer(self.model.path)
        var options = EvaluationTask.Options()
        (options.data, options.limit, options.seed) = (data, limit, seed)
        options.reading = text.reading
        (options.lengths, options.depths, options.method) = (length?.values, depth.values, by)
        let groups = try tasks.values.flatMap { try $0.groups(options, tokenizer: tokenizer) }
        let model = try weights.loadModel(self.model.path)
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
        try Output.line("task".padded(to: 26) + "metric".padded(to: 18) + "value".padded(to: 22) + "examples")
        for (group, result) in results {
            for metric in result.metrics {
                let error = metric.standardError.map { String(format: " ± %.4f", $0) } ?? ""
                try Output.line(
                    group.label.padded(to: 26) + metric.name.padded(to: 18)
                        + (String(format: "%.4f", metric.value) + error).padded(to: 22) + grouped(result.examples))
            }
        }
    }

    private func printJSON(_ results: [(group: ExampleGroup, result: ExampleGroup.Result)]) throws {
        let entries = results.map { group, result -> JSONValue in
            var object: JSONObject = ["task": .string(group.task.rawValue)]
            object["length"] = group.length.map { .integer($0) }
            object["depth"] = group.depth.map { .integer($0) }
            object["by"] = .string(group.method.rawValue)
            object["examples"] = .integer(result.examples)
            object["seconds"] = .number(result.seconds)
            object["metrics"] = .object(
                JSONObject(
                    result.metrics.map {
                        let error = $0.standardError.map(JSONValue.number) ?? .null
                        return ($0.name, .object(["value": .number($0.value), "standard_error": error]))
                    }))
            if samples { object["samples"] = .array(sampleValues(result)) }
            return .object(object)
        }
        try output.print([
            "model": .string(model.path), "seed": .integer(Int(truncatingIfNeeded: seed)), "results": .array(entries),
            "peak_memory_bytes": .integer(peakMemory()),
        ])
    }

    /// Every example, as it was answered.
    private func sampleValues(_ result: ExampleGroup.Result) -> [JSONValue] {
        let scored = result.scores.map { scores -> JSONValue in
            .array(
                scores.map {
                    .object(["log_likelihood": .number($0.logLikelihood), "is_greedy": .bool($0.isGreedy)])
                })
        }
        let generated = result.answers.map { answer -> JSONValue in
            .object([
                "text": .string(answer.text), "answers": .array(answer.answers.map(JSONValue.string)),
                "match": .number(answer.match),
            ])
        }
        return scored + generated
    }
}

extension EvaluationMethod: ExpressibleByArgument {}

/// Tasks separated by commas, such as lambada,piqa.
struct TaskList: ExpressibleByArgument {
    let values: [EvaluationTask]
    /// A name that no task has.
    let unknown: String?

    init(argument: String) {
        let parts = argument.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        values = parts.flatMap { EvaluationTask.named($0) ?? [] }
        unknown = parts.first { EvaluationTask.named($0) == nil }
    }

    /// - Throws: `ValidationError` when there is an unknown name.
    func check() throws {
        guard let unknown else { return }
        let all = EvaluationTask.allCases.map(\.rawValue) + EvaluationTask.sets.map { $0.key }
        throw ValidationError(
            "--tasks: there is no task '\(unknown)'\(Suggestion.hint(unknown, among: all)) Tasks are \(Self.names).")
    }

    /// Of all tasks, and of sets of them in place of their members.
    static let names: String = {
        let sets = EvaluationTask.sets.map { ($0.key, $0.value) }
        return EvaluationTask.allCases.compactMap { task in
            guard let (name, members) = sets.first(where: { $0.1.contains(task) }) else { return task.rawValue }
            return members[0] == task ? name : nil
        }.joined(separator: ", ")
    }()
}
