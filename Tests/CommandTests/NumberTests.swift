import Checkpoints
import Foundation
import Support
import TestSupport
import Testing

/// Numbers at the edges of what commands take: each gives a result, or one line that names the option; never a trap.
@Suite("Numbers on the command line and in a configuration")
struct NumberTests {
    private let place: TinyModel
    init() throws { place = try TinyModel() }

    private static let integers = [
        "0", "-1", "9223372036854775807", "-9223372036854775808", "9223372036854775808", "18446744073709551615",
        "18446744073709551616", "1e308", "nan", "inf", "-inf", "", "1.5", "0x10", "٣",
    ]
    private static let numbers = integers + ["1e-45", "5e-324", "1e38", "3.5e38", "1e999", "-0", "+1"]

    /// A command line, the option whose value is tried, and the values that it is not tried with.
    struct Case: Sendable, CustomTestStringConvertible {
        let command: [String]
        let option: String
        var values = NumberTests.integers
        /// Sound, and without an end.
        var endless: Set<String> = []
        /// What stands before the value.
        var prefix = ""
        var testDescription: String { "\(command[0]) \(option)" }
    }

    /// MODEL, STUDENT, TEXT, LINES and NEW stand for a Transformer's folder, that of the model converted from it, files of
    /// text, and a name that is new each time.
    private static let cases: [Case] = {
        let generate = ["generate", "MODEL", "--prompt", "x", "--max-tokens", "2"]
        let bench = ["bench", "MODEL", "--prefill", "4", "--decode", "2", "--depth", "4", "--repeats", "1"]
        let train = [
            "train", "STUDENT", "--data", "TEXT", "--output", "NEW", "--stages", "finetune=32", "--length", "16",
        ]
        let quantize = ["quantize", "MODEL", "--output", "NEW", "--bits", "8", "--calibration", "LINES"]
        let convert = ["convert", "MODEL", "--dry-run"]
        let select = ["select", "STUDENT", "--teacher", "MODEL"]
        return [
            Case(command: generate, option: "--temperature", values: numbers),
            Case(command: generate + ["--temperature", "1"], option: "--top-k"),
            Case(command: generate + ["--temperature", "1"], option: "--top-p", values: numbers),
            Case(command: generate + ["--temperature", "1"], option: "--min-p", values: numbers),
            Case(command: generate, option: "--repetition-penalty", values: numbers),
            Case(command: generate, option: "--repetition-window"),
            Case(command: generate, option: "--logit-bias", values: numbers, prefix: "5="),
            Case(command: generate, option: "--seed"),
            Case(command: Array(generate.dropLast(2)), option: "--max-tokens", endless: ["9223372036854775807"]),
            Case(command: ["chat", "MODEL"], option: "--max-tokens"),
            Case(command: generate, option: "--threads"), Case(command: generate, option: "--temp", values: numbers),
            Case(command: ["generate", "MODEL", "--prompts", "LINES", "--max-tokens", "1"], option: "--batch"),
            Case(command: ["generate", "MODEL", "--stream", "--max-tokens", "1"], option: "--every"),
            Case(command: generate + ["--prompt-cache", "NEW"], option: "--prompt-cache-size", values: numbers),
            Case(command: convert, option: "--slots"), Case(command: convert, option: "--window"),
            Case(command: convert, option: "--keep-attention"), Case(command: convert, option: "--seed"),
            Case(command: convert, option: "--keep-attention", prefix: "0:"), Case(command: convert, option: "--sinks"),
            Case(command: convert + ["--keep-attention", "0"], option: "--attention-window"),
            Case(command: convert + ["--keep-attention", "0"], option: "--attention-positions", values: numbers),
            Case(command: select, option: "--heads"), Case(command: select, option: "--layers"),
            Case(command: select + ["--heads", "1"], option: "--seed"),
            Case(command: quantize, option: "--bits"), Case(command: quantize, option: "--embedding-bits"),
            Case(command: quantize, option: "--group-size"), Case(command: quantize, option: "--calibration-tokens"),
            Case(command: ["perplexity", "MODEL", "--data", "LINES"], option: "--window"),
            Case(command: ["perplexity", "MODEL", "--data", "LINES", "--window", "16"], option: "--limit"),
            Case(command: ["evaluate", "MODEL", "--tasks", "recall", "--length", "400"], option: "--limit"),
            Case(command: ["evaluate", "MODEL", "--tasks", "recall", "--limit", "1"], option: "--length"),
            Case(
                command: ["evaluate", "MODEL", "--tasks", "niah_single_1,common_words", "--limit", "1"],
                option: "--length"),
            Case(
                command: ["evaluate", "MODEL", "--tasks", "needle", "--limit", "1", "--length", "200"],
                option: "--depth"),
            Case(
                command: ["evaluate", "MODEL", "--tasks", "recall", "--limit", "1", "--length", "400"], option: "--seed"
            ),
            Case(command: bench, option: "--prefill"), Case(command: bench, option: "--decode"),
            Case(command: bench, option: "--depth"), Case(command: bench, option: "--batch"),
            Case(command: bench, option: "--repeats"), Case(command: train, option: "--length"),
            Case(command: train, option: "--seed"), Case(command: train, option: "--recall", values: numbers),
            Case(command: train, option: "--answer-weight", values: numbers),
            Case(command: train, option: "--max-line-bytes", values: numbers),
            Case(command: train, option: "--stages", values: numbers, prefix: "finetune="),
            Case(command: train, option: "--stages", values: numbers, prefix: "finetune=32@"),
            Case(
                command: train + ["--teacher", "MODEL"], option: "--stages", values: numbers, prefix: "select="),
        ]
    }()

    /// Runs a command with no input, and at most 60 seconds.
    private func run(_ arguments: [String]) throws -> MoultProcess {
        try MoultProcess(
            executable: "/usr/bin/timeout", arguments: ["-s", "KILL", "60", MoultProcess.executable.path] + arguments)
    }

    /// Expects a result, or a failure in one line with `name`.
    private func check(_ result: MoultProcess, _ name: String, _ value: String) {
        #expect(result.status < 128, "\(name) \(value): \(result.error)")
        guard result.status != 0 else { return }
        let errors = result.error.split(separator: "\n").filter { $0.hasPrefix("Error: ") }
        #expect(errors.count == 1 && errors[0].contains(name), "\(name) \(value): \(result.error)")
    }

    @Test("every option", arguments: cases) func options(_ one: Case) throws {
        let lines = try place.write("lines.txt", (0..<40).map { "The fox \($0) jumps.\n" }.joined())
        let student = ["train", "select"].contains(one.command[0]) ? try place.converted() : ""
        for value in one.values where !one.endless.contains(value) {
            let names = [
                "MODEL": place.teacher, "STUDENT": student, "TEXT": place.text, "LINES": lines,
                "NEW": "\(place.path)/\(UUID())",
            ]
            // The last of an option's values counts.
            let command = one.command.map { names[$0] ?? $0 }
            var arguments = command
            if let given = command.firstIndex(of: one.option) { arguments.removeSubrange(given...given + 1) }
            check(try run(arguments + ["\(one.option)=\(one.prefix)\(value)"]), one.option, value)
        }
    }

    private static let keys = [
        "seed", "length", "activation_memory", "patience", "plateau_patience", "plateau_factor",
        "data: validation_share", "data: recall",
        "validation: every",
        "validation: rows", "validation: recall_questions", "checkpoints: every", "checkpoints: keep", "stage: tokens",
        "stage: length",
        "stage: sequences",
        "stage: accumulation", "stage: learning_rate", "stage: warm_up_steps", "stage: final_rate",
        "stage: decay_share",
        "stage: new_parameter_rate", "stage: beta1", "stage: beta2", "stage: epsilon", "stage: weight_decay",
        "stage: clip", "stage: teacher_share", "stage: layers_at_once",
    ]

    @Test("every key of a configuration", arguments: keys) func configuration(_ key: String) throws {
        let parts = key.split(separator: ":").map { $0.trimmingCharacters(in: .whitespaces) }
        let name = parts[parts.count - 1]
        let student = try place.converted()
        for value in Self.numbers + [".inf", "-.inf", ".nan", "1e15", "999G", "1e1000000", "[1]", "{a: 1}", "null"] {
            // What is sound is also without an end.
            if value == "1e15" || value == "999G", name == "tokens" { continue }
            let settings = [
                parts.count == 1 ? "\(name): \(value)" : parts[0] == "stage" ? "" : "\(parts[0]): {\(name): \(value)}",
                "stages: [{stage: finetune, \(name == "tokens" ? "" : "tokens: 32, ")"
                    + (parts[0] == "stage" ? "\(name): \(value)" : "warm_up_steps: 0") + "}]",
            ].joined(separator: "\n")
            let file = try place.write("\(UUID()).yaml", settings + "\n")
            let length = name == "length" ? [] : ["--length", "16"]
            let result = try run(
                [
                    "train", student, "--data", place.text, "--output", "\(place.path)/\(UUID())", "--config",
                    file,
                ] + length)
            check(result, name, value)
        }
    }

    @Test(
        "every number of a model's configuration",
        arguments: ["fla-gsa-hybrid", "llama-biases-llama3-rope", "moult-hybrid"])
    func models(_ name: String) throws {
        let source = "\(packageRoot)/Tests/ModelsTests/Fixtures/\(name)"
        let model = "\(place.path)/\(name)"
        try FileManager.default.copyItem(atPath: source, toPath: model)
        let json = try JSONValue(file: "\(source)/config.json")
        let values: [JSONValue] = [
            .integer(0), .integer(-1), .integer(.max), .integer(.min), .number(1e30), .number(1e-30), .number(1e308),
        ]
        for path in Self.numbers(in: json, []) {
            for value in values {
                let text = Self.replacing(json, path[...], value).text()
                try place.write("\(name)/config.json", text)
                let result = try run(["inspect", model])
                #expect(result.status < 128, "\(path) \(value.text()): \(result.error)")
            }
        }
    }

    /// The keys that lead to every number.
    private static func numbers(in value: JSONValue, _ path: [String]) -> [[String]] {
        if value.doubleValue != nil { return [path] }
        return (value.objectValue?.pairs ?? []).flatMap { numbers(in: $0.value, path + [$0.key]) }
    }

    private static func replacing(_ json: JSONValue, _ path: ArraySlice<String>, _ value: JSONValue) -> JSONValue {
        guard let key = path.first, var object = json.objectValue else { return value }
        object[key] = object[key].map { replacing($0, path.dropFirst(), value) }
        return .object(object)
    }
}
