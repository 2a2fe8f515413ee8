import Foundation
import TestSupport
import Testing

/// What is said of a command line that cannot be understood, and the exit code of each kind of failure.
@Suite("Usage and exit codes")
struct UsageTests {
    @Test(
        "what was meant is named",
        arguments: [
            (["inspct", "x"], "'inspct' is no command; did you mean 'inspect'?"),
            (["help", "trian"], "'trian' is no command; did you mean 'train'?"),
            (["convert", "x", "--slts", "4"], "Unknown option '--slts'; did you mean '--slots'?"),
            (["evaluate", "x", "--tasks", "recall,lambda"], "no task 'lambda'; did you mean 'lambada'?"),
            (["convert", "x", "--dry-run", "--dtype", "fp16"], "one of 'f32' and 'bf16'"),
        ])
    func meant(arguments: [String], text: String) throws {
        let result = try MoultProcess(arguments: arguments)
        #expect(result.status == 64 && result.error.contains(text), "\(result.error)")
    }

    @Test(
        "a number below zero is an option's value",
        arguments: [
            (["bench", "M", "--decode", "-5"], "--decode: expected 0 to 16777216, found -5."),
            (["generate", "M", "-p", "a", "-n", "-5"], "--max-tokens: expected 0 or more, found -5."),
            (["generate", "M", "-p", "a", "--top-k", "-1"], "--top-k: expected 1 or more, found -1"),
            (["generate", "M", "-p", "a", "--temperature", "-1"], "--temperature: expected 0 or more, found -1"),
            (["perplexity", "M", "--data", "x", "--limit", "-2"], "--limit: expected 1 or more, found -2."),
            (["convert", "M", "--dry-run", "--slots", "-3"], "--slots: expected 1 to 4096, found -3"),
        ])
    func negative(arguments: [String], text: String) throws {
        let tiny = try TinyModel()
        let result = try MoultProcess(arguments: arguments.map { $0 == "M" ? tiny.teacher : $0 })
        #expect(result.status == 64 && result.error.contains(text), "\(result.error)")
    }

    @Test("one exit code for one kind, over the commands")
    func codes() throws {
        let tiny = try TinyModel()
        let model = tiny.teacher, missing = "\(tiny.path)/missing"
        let broken = try tiny.write("broken.gguf", "GGUF")
        let latin = try tiny.folder.write("latin.txt", [0x63, 0xE9, 0x20, 0x61])
        let commands: [(String) -> [String]] = [
            { ["inspect", $0] }, { ["convert", $0, "--dry-run"] }, { ["generate", $0, "--prompt", "x"] },
            { ["quantize", $0, "--bits", "8", "--output", "\(tiny.path)/q"] }, { ["chat", $0] },
            { ["perplexity", $0, "--data", tiny.text] }, { ["evaluate", $0, "--tasks", "recall"] }, { ["bench", $0] },
            { ["select", $0, "--teacher", $0] }, { ["report", $0] },
            { ["train", $0, "--teacher", $0, "--data", tiny.text, "--output", "\(tiny.path)/run"] },
        ]
        for command in commands {
            for path in [missing, broken] {
                let result = try MoultProcess(arguments: command(path))
                #expect(result.status == 1, "\(command(path)): \(result.error)")
                #expect(!result.error.contains("Usage:"), "\(result.error)")
            }
            let unknown = try MoultProcess(arguments: command(model) + ["--no-such-option"])
            #expect(unknown.status == 64 && unknown.error.contains("--no-such-option"), "\(unknown.error)")
        }
        for text in [missing, latin] {
            for arguments in [
                ["perplexity", model, "--data", text], ["generate", model, "--prompt-file", text],
                ["generate", model, "--prompts", text],
                ["quantize", model, "--bits", "4", "--output", "\(tiny.path)/q", "--calibration", text],
            ] {
                let result = try MoultProcess(arguments: arguments)
                #expect(result.status == 1 && result.error.contains(text), "\(arguments): \(result.error)")
            }
        }
    }

    @Test("a model's name that is nearly there")
    func model() throws {
        let tiny = try TinyModel()
        let result = try MoultProcess("inspect", "\(tiny.path)/techer")
        #expect(result.status == 1 && result.error.contains("; did you mean 'teacher'?"), "\(result.error)")
    }
}
