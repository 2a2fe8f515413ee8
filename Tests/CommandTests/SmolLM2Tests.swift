import Checkpoints
import Foundation
import TestSupport
import Testing

/// The whole way on the real model: inspect, convert, measure, generate.
@Suite("The command line on SmolLM2-135M", .serialized)
struct SmolLM2Tests {
    private func text(_ folder: TemporaryFolder) throws -> String {
        // A few windows of the encyclopedia that `make fetch` provides.
        let file = try String(contentsOfFile: "\(packageRoot)/.data/encyclopedia_valid.txt", encoding: .utf8)
        return try folder.write("text.txt", Data(file.prefix(16_000).utf8))
    }

    @Test func inspect() throws {
        let json = try MoultProcess("inspect", smolLM2, "--json").json()
        #expect(json["parameters"] == 134_515_008)
        #expect(json["layers"] == 30)
        #expect(json["state"]?["bytes_per_token"] == .integer(30 * 2 * 3 * 64 * 4))
        #expect(json["state"]?["constant_bytes"] == 0)
        #expect(json["tokenizer"]?["vocabulary"] == 49152)
        #expect(json["tensors"]?.arrayValue?.count == 272)
        #expect(try MoultProcess("inspect", smolLM2).output.contains("134,515,008"))
    }

    @Test("a question is written as the model's template does, whether an option or a pipe gives it")
    func question() throws {
        let (question, chat) = ("What is the capital of France?", ["--chat", "-n", "12"])
        let asked = try MoultProcess(arguments: ["generate", smolLM2, "-p", question] + chat)
        #expect(asked.output.contains("Paris") && !asked.output.contains("capital of France?"), "\(asked.output)")
        let piped = try MoultProcess(input: question + "\n", arguments: ["generate", smolLM2] + chat)
        #expect(piped.output == asked.output && piped.status == 0)
        let dash = try MoultProcess(input: question, arguments: ["generate", smolLM2, "-p", "-", "--echo"] + chat)
        #expect(dash.output == question + asked.output)
        // The template's own words before the conversation are more than these.
        func count(_ arguments: [String]) throws -> Int? {
            try MoultProcess(arguments: ["generate", smolLM2, "-p", question, "--json"] + chat + arguments)
                .json()["prompt_tokens"]?.integerValue
        }
        let (plain, told) = (try #require(try count([])), try #require(try count(["--system", "Be brief."])))
        #expect(told < plain && plain > 20, "\(told) of \(plain)")
    }

    @Test("a continuation stands alone with --no-echo")
    func echo() throws {
        let arguments = ["generate", smolLM2, "-p", "The capital of France is", "-n", "4"]
        let whole = try MoultProcess(arguments: arguments).output
        let rest = try MoultProcess(arguments: arguments + ["--no-echo"]).output
        #expect(whole == "The capital of France is" + rest && rest.contains("Paris"), "\(whole)")
    }

    @Test("evaluate prints a figure for every metric, and with --samples every choice")
    func evaluate() throws {
        let arguments = ["evaluate", smolLM2, "--tasks", "recall", "--length", "256", "--limit", "1"]
        let json = try MoultProcess(arguments: arguments + ["--json", "--samples"]).json()
        let result = try #require(json["results"]?.arrayValue?.first)
        #expect(result["task"] == "recall" && result["length"] == 256 && result["examples"] == 1)
        // Five questions with ten choices each.
        #expect(result["samples"]?.arrayValue?.first?.arrayValue?.count == 50)
        let accuracy = try #require(result["metrics"]?["acc"]?["value"]?.doubleValue)
        #expect((0...1).contains(accuracy))
        let table = try MoultProcess(arguments: arguments).output.split(separator: "\n")
        #expect(table.count == 3 && table[1].hasPrefix("recall 256 ") && table[1].contains("acc"))
        #expect(table[1].contains(String(format: "%.4f", accuracy)))
    }

    @Test("evaluate: a needle of RULER by generation and by likelihood")
    func ruler() throws {
        let arguments = ["evaluate", smolLM2, "--tasks", "niah_single_1", "--length", "512", "--limit", "1"]
        let generated = try MoultProcess(arguments: arguments + ["--json", "--samples"]).json()
        let result = try #require(generated["results"]?.arrayValue?.first)
        #expect(result["task"] == "niah_single_1" && result["length"] == 512 && result["by"] == "generation")
        #expect(result["metrics"]?["string_match_all"]?["value"]?.doubleValue == 1)
        let sample = try #require(result["samples"]?.arrayValue?.first)
        let answer = try #require(sample["answers"]?.arrayValue?.first?.stringValue)
        #expect(sample["text"]?.stringValue?.contains(answer) == true && sample["match"]?.doubleValue == 1)
        let table = try MoultProcess(arguments: arguments + ["--by", "likelihood"]).output.split(separator: "\n")
        #expect(table.count == 3 && table[1].hasPrefix("niah_single_1 512 ") && table[1].contains(" 1.0000 "))
    }

    @Test("convert, measure and generate")
    func convert() throws {
        let folder = try TemporaryFolder()
        let (text, student) = (try text(folder), "\(folder.path)/student")
        let report = try MoultProcess("convert", smolLM2, "--output", student, "--json").json()
        // Gates: 3 · 16 · (576 + 1) and the window's share 9 · (576 + 1), in each of 30 layers.
        #expect(report["initialised"]?["parameters"] == .integer(30 * 577 * (48 + 9)))
        #expect(report["reused"]?["parameters"] == 134_515_008)
        #expect(report["dropped"]?["parameters"] == 0)

        let teacher = try MoultProcess("perplexity", smolLM2, "--data", text, "--json").json()
        let converted = try MoultProcess("perplexity", student, "--data", text, "--json", "--by-position").json()
        let (before, after) = (teacher["perplexity"]?.doubleValue ?? .nan, converted["perplexity"]?.doubleValue ?? .nan)
        #expect(before > 5 && before < 40)
        // Untrained, the window keeps the student within a small factor of the teacher.
        #expect(after > before && after < 5 * before, "teacher \(before), student \(after)")
        #expect(converted["tokens"] == teacher["tokens"])

        // The state is the same at all lengths that fill the window.
        let sizes = try [25, 70].map { sentences in
            let prompt = String(repeating: "The capital of France is Paris. ", count: sentences)
            return try MoultProcess("generate", student, "--prompt", prompt, "--max-tokens", "4", "--json")
                .json()["state_bytes"]
        }
        #expect(sizes[0] == sizes[1])
        let costs = try MoultProcess("inspect", student, "--json").json()["state"]
        #expect(sizes[0] == costs?["constant_bytes"])
        #expect(costs?["bytes_per_token"] == 0)

        let again = try MoultProcess("convert", smolLM2, "--output", student)
        #expect(again.status != 0 && again.error.contains("exists already"))
    }

    @Test("quantise and measure")
    func quantise() throws {
        let folder = try TemporaryFolder()
        let text = try text(folder)
        func perplexity(_ model: String) throws -> Double {
            try MoultProcess("perplexity", model, "--data", text, "--json").json()["perplexity"]?.doubleValue ?? .nan
        }
        let before = try perplexity(smolLM2)
        for (bits, share, bytes) in [("8", 0.02, 143_100_000), ("4", 0.03, 91_000_000)] {
            let output = "\(folder.path)/\(bits)"
            let report = try MoultProcess("quantize", smolLM2, "--output", output, "--bits", bits, "--json").json()
            #expect(report["parameters"] == 134_515_008)
            #expect(report["bytes"]?.integerValue ?? .max < bytes)
            let after = try perplexity(output)
            #expect(abs(after / before - 1) < share, "\(bits): \(before), \(after)")
        }
        let shown = try MoultProcess("inspect", "\(folder.path)/8").output
        #expect(shown.contains("134,515,008") && shown.contains("q8"))
    }

    @Test("the teacher knows its facts, and a seed repeats itself")
    func generate() throws {
        let greedy = try MoultProcess(
            "generate", smolLM2, "--prompt", "The capital of France is", "--max-tokens", "8", "--json"
        ).json()
        #expect(greedy["text"]?.stringValue?.contains("Paris") == true)
        let samples = try (0..<2).map { _ in
            try MoultProcess(
                "generate", smolLM2, "--prompt", "Once", "--max-tokens", "12", "--temperature", "1", "--top-p", "0.9",
                "--seed", "5", "--json"
            ).json()["text"]
        }
        #expect(samples[0] == samples[1])
    }

    @Test("a dry run writes nothing and shows the plan")
    func dryRun() throws {
        let result = try MoultProcess("convert", smolLM2, "--dry-run", "--profile", "fla")
        #expect(result.status == 0)
        #expect(result.output.contains("nothing written"))
        #expect(result.output.contains("model.layers.*.attn.f_proj.weight × 30"))
    }
}
