import Checkpoints
import Foundation
import Support
import TestSupport
import Testing

@Suite("Bad input gives one clear line and a failing exit code")
struct BadInputTests {
    private let fixtures = "\(packageRoot)/Tests/ModelsTests/Fixtures"

    @Test("models that are none", arguments: ["inspect", "perplexity", "generate", "convert", "quantize"])
    func noModel(_ command: String) throws {
        let folder = try TemporaryFolder()
        let rest = [
            "perplexity": ["--data", #filePath], "generate": ["--prompt", "x"],
            "convert": ["--output", "\(folder.path)/o"], "quantize": ["--bits=4", "--output=\(folder.path)/o"],
        ]
        func run(_ path: String) throws -> MoultProcess {
            let more = rest[command] ?? []
            return more.isEmpty ? try MoultProcess(command, path) : try MoultProcess(command, path, more[0], more[1])
        }
        expectFailure(try run("\(folder.path)/missing"), "\(folder.path)/missing")
        expectFailure(try run(folder.path), folder.path)
        expectFailure(try run(try folder.write("empty.gguf", Data())), "empty.gguf")
        expectFailure(try run(try folder.write("wrong.gguf", Data("GGML".utf8) + Data(count: 100))), "wrong.gguf")
        expectFailure(try run(#filePath), "BadInputTests.swift")
        #expect(!FileManager.default.fileExists(atPath: "\(folder.path)/o"))
    }

    @Test func quantisation() throws {
        let folder = try TemporaryFolder()
        func run(_ arguments: String...) throws -> MoultProcess {
            try MoultProcess(
                arguments: ["quantize", "\(fixtures)/llama-linear-rope", "--output", "\(folder.path)/o"] + arguments)
        }
        expectFailure(try run("--bits", "5"), "--bits", "8 or 4", "5")
        expectFailure(try run("--bits", "4", "--group-size", "128"), "--group-size", "32", "128")
        expectFailure(try run("--bits", "4", "--calibration", #filePath), "tokenizer.json")
        expectFailure(try run("--bits", "4", "--calibration-tokens", "0"), "--calibration-tokens")
        #expect(!FileManager.default.fileExists(atPath: "\(folder.path)/o"))
        expectFailure(try MoultProcess(arguments: ["quantize", #filePath]), "--output")
    }

    @Test func configurationWithoutHiddenSize() throws {
        let folder = try TemporaryFolder()
        guard case .object(var json) = try JSONValue(file: "\(fixtures)/llama-tied/config.json") else { return }
        try FileManager.default.copyItem(
            atPath: "\(fixtures)/llama-tied/model.safetensors", toPath: "\(folder.path)/model.safetensors")
        json["hidden_size"] = nil
        _ = try folder.write("config.json", Data(JSONValue.object(json).text().utf8))
        expectFailure(try MoultProcess("inspect", folder.path), "config.json", "hidden_size")
        json["hidden_size"] = 48
        json["num_attention_heads"] = 7
        _ = try folder.write("config.json", Data(JSONValue.object(json).text().utf8))
        expectFailure(try MoultProcess("inspect", folder.path), "config.json", "7")
    }

    @Test func truncatedWeights() throws {
        let folder = try TemporaryFolder()
        try FileManager.default.copyItem(
            atPath: "\(fixtures)/llama-tied/config.json", toPath: "\(folder.path)/config.json")
        let weights = try Data(contentsOf: URL(fileURLWithPath: "\(fixtures)/llama-tied/model.safetensors"))
        _ = try folder.write("model.safetensors", weights.dropLast(5))
        expectFailure(try MoultProcess("inspect", folder.path), "model.safetensors")
        expectFailure(try MoultProcess("convert", folder.path, "--output", "\(folder.path)/out"), "model.safetensors")
        #expect(!FileManager.default.fileExists(atPath: "\(folder.path)/out"))
    }

    @Test func textThatIsNotUTF8() throws {
        let folder = try TemporaryFolder()
        let text = try folder.write("latin1.txt", Data("caf\u{E9}".utf8.prefix(3)) + Data([0xE9, 0x20, 0x61]))
        expectFailure(try MoultProcess("perplexity", smolLM2, "--data", text), "latin1.txt", "byte 3", "UTF-8")
        let empty = try folder.write("empty.txt", Data())
        expectFailure(try MoultProcess("perplexity", smolLM2, "--data", empty), "at least 2")
    }

    @Test func emptyPrompt() throws {
        expectFailure(try MoultProcess("generate", smolLM2, "--prompt", ""), "prompt is empty")
        expectFailure(try MoultProcess(input: "", "generate", smolLM2), "prompt is empty")
        expectFailure(try MoultProcess("generate", smolLM2, "--prompt", "x", "--system", "y"), "--chat")
        expectFailure(try MoultProcess("generate", smolLM2, "--stream", "--chat"), "--chat: expected one question")
    }

    @Test func optionsOutOfRange() throws {
        expectFailure(try MoultProcess("generate", smolLM2, "--prompt", "x", "--top-p", "2"), "--top-p")
        expectFailure(try MoultProcess("generate", smolLM2, "--prompt", "x", "--temperature", "-1"), "--temperature")
        expectFailure(try MoultProcess("generate", smolLM2, "--prompt", "x", "--max-tokens=-1"), "--max-tokens")
        expectFailure(try MoultProcess("generate", smolLM2), "--prompt", "--load-state")
        expectFailure(try MoultProcess("generate", smolLM2, "--prompt", "x", "--stream"), "--stream")
        expectFailure(try MoultProcess("generate", smolLM2, "--prompt", "x", "--every", "5"), "--every")
        expectFailure(try MoultProcess("generate", smolLM2, "--stream", "--prompt-cache", "cache"), "--prompt-cache")
        expectFailure(try MoultProcess("generate", smolLM2, "--prompt", "x", "--min-p", "2"), "--min-p")
        expectFailure(try MoultProcess("generate", smolLM2, "--prompt", "x", "--stop", ""), "--stop")
        for bias in ["5", "5=x", "5=inf", "999999=1", "several whole words=1"] {
            expectFailure(try MoultProcess("generate", smolLM2, "--prompt", "x", "--logit-bias", bias), "--logit-bias")
        }
        expectFailure(try MoultProcess("generate", smolLM2, "--prompt", "x", "--load-state", "/none"), "/none")
        expectFailure(try MoultProcess("generate", smolLM2, "--prompt", "x", "--load-state", #filePath), "--save-state")
        expectFailure(try MoultProcess("generate", smolLM2, "--stream"), "prompt is empty")
        expectFailure(try MoultProcess("chat", smolLM2, "--repetition-penalty", "0"), "--repetition-penalty")
        expectFailure(try MoultProcess("chat", smolLM2, "--load-state", #filePath), "expected a state")
        expectFailure(try MoultProcess("perplexity", smolLM2, "--data", #filePath, "--window", "0"), "--window")
        expectFailure(try MoultProcess("convert", smolLM2, "--dry-run", "--slots", "0"), "--slots")
        expectFailure(
            try MoultProcess("convert", smolLM2, "--dry-run", "--keep-attention", "0,30"), "--keep-attention", "30")
        expectFailure(try MoultProcess("convert", smolLM2, "--dry-run", "--keep-attention", "a"), "keep-attention")
        expectFailure(try MoultProcess("convert", smolLM2, "--dry-run", "--dtype", "f16"), "dtype")
        expectFailure(try MoultProcess("convert", smolLM2), "--output")
        expectFailure(
            try MoultProcess("convert", smolLM2, "--dry-run", "--profile", "fla", "--window", "64"), "--window")
        expectFailure(
            try MoultProcess("convert", smolLM2, "--dry-run", "--mixer", "kda", "--profile", "fla"), "--profile",
            "the only one of 'kda'")
    }

    @Test func evaluation() throws {
        let folder = try TemporaryFolder()
        func run(_ arguments: String...) throws -> MoultProcess {
            try MoultProcess(arguments: ["evaluate", smolLM2] + arguments)
        }
        expectFailure(try run("--tasks", "lambada,none"), "--tasks", "arc_easy")
        expectFailure(try run("--tasks", "recall,niah_single_4"), "--tasks", "niah_single", "variable_tracking")
        expectFailure(try run("--tasks", "recall,piqa"), "--data", "piqa_val.jsonl")
        expectFailure(
            try run("--tasks", "niah_single,common_words", "--by", "likelihood"), "--by", "generation", "common_words")
        expectFailure(try run("--tasks", "recall", "--by", "generation"), "--by", "likelihood", "recall")
        expectFailure(try run("--tasks", "niah_single", "--by", "guessing"), "--by", "guessing")
        expectFailure(try run("--tasks", "variable_tracking", "--length", "300"), "variable_tracking", "300 tokens")
        expectFailure(try run("--tasks", "needle", "--depth", "101"), "--depth", "101")
        expectFailure(try run("--tasks", "needle", "--length", "0"), "--length", "0")
        expectFailure(try run("--tasks", "recall", "--limit", "0"), "--limit", "0")
        expectFailure(try run("--tasks", "recall", "--samples"), "--json")
        expectFailure(try run("--tasks", "recall", "--length", "20"), "recall", "20 tokens")
        expectFailure(try run("--tasks", "piqa", "--data", folder.path), "\(folder.path)/piqa_val.jsonl")
        _ = try folder.write("piqa_val.jsonl", Data("\n{\"context\": \"a\", \"choices\": [], \"gold\": 0}".utf8))
        expectFailure(try run("--tasks", "piqa", "--data", folder.path), "piqa_val.jsonl:2", "choices")
        _ = try folder.write("filler.txt", Data([0xFF]))
        expectFailure(try run("--tasks", "needle", "--data", folder.path), "filler.txt", "UTF-8")
    }

    @Test("reports of what is no run")
    func noRun() throws {
        let folder = try TemporaryFolder()
        expectFailure(try MoultProcess("report", "\(folder.path)/missing"), "missing", "metrics.jsonl")
        expectFailure(try MoultProcess("report", folder.path), folder.path, "metrics.jsonl")
        let metrics = try folder.write(
            "metrics.jsonl", Data("{\"event\":\"end\",\"step\":1,\"reason\":\"stopped\"}\n".utf8))
        let precious = try folder.write("precious.txt", Data("precious".utf8))
        expectFailure(try MoultProcess("report", folder.path, "--output", precious), "precious.txt")
        #expect(try String(contentsOfFile: precious, encoding: .utf8) == "precious")
        #expect(try MoultProcess("report", folder.path).status == 0)
        try FileHandle(forWritingTo: URL(fileURLWithPath: metrics)).write(contentsOf: Data("[1]\n".utf8))
        expectFailure(try MoultProcess("report", folder.path), "metrics.jsonl:1")
    }

    @Test("a folder without a tokenizer")
    func noTokenizer() throws {
        expectFailure(try MoultProcess("generate", "\(fixtures)/llama-tied", "--prompt", "x"), "tokenizer.json")
    }
}
