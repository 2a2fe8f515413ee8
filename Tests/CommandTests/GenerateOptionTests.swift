import Checkpoints
import Foundation
import Support
import TestSupport
import Testing

@Suite("Options of generate: JSON lines, models, threads, and what other programs call them", .timeLimit(.minutes(5)))
struct GenerateOptionTests {
    private let place: TinyModel
    init() throws { place = try TinyModel() }

    private func lines(_ output: String) throws -> [JSONObject] {
        try output.split(separator: "\n").map {
            guard case .object(let object) = try JSONValue(parsing: Data($0.utf8), file: "line") else {
                throw CocoaError(.coderReadCorrupt)
            }
            return object
        }
    }

    private func text(_ lines: [JSONObject]) -> String { lines.compactMap { $0["text"]?.stringValue }.joined() }

    @Test("JSON lines: the prompt, the text's parts, the totals")
    func jsonLines() throws {
        let arguments = ["generate", place.teacher, "--prompt", "The fox", "--max-tokens", "12"]
        let whole = try MoultProcess(arguments: arguments + ["--json"]).json()
        let result = try MoultProcess(arguments: arguments + ["--json-lines"])
        #expect(result.status == 0, "\(result.error)")
        let lines = try lines(result.output)
        #expect(lines.first?["prompt"] == "The fox" && lines.first?["prompt_tokens"] == whole["prompt_tokens"])
        #expect(lines.count > 4 && lines.last?["end"] == "limit" && lines.last?["tokens"] == 12)
        #expect(lines.last?["text"] == nil && lines.last?["context"] == whole["context"])
        #expect(text(lines) == whole["text"]?.stringValue)
        let both = try MoultProcess(arguments: arguments + ["--json-lines", "--json"])
        #expect(both.status == 64 && both.error.contains("--json-lines: expected without --json"))
    }

    @Test("each line is written when it is made, of whole characters")
    func flushed() throws {
        let process = try RunningMoult([
            "generate", place.teacher, "--prompt", "日本👩‍👩‍👧", "--max-tokens", "1000000", "--logit-bias",
            "a=1000", "--json-lines",
        ])
        process.waitForOutput()
        usleep(300_000)
        process.signal(SIGINT)
        let result = process.finish()
        #expect(result.status == 130)
        let lines = try lines(String(result.output.split(separator: "\n").dropLast().joined(separator: "\n")))
        #expect(lines.first?["prompt"] == "日本👩‍👩‍👧" && lines.count > 2 && lines.allSatisfy { $0["end"] == nil })
    }

    @Test("JSON lines of many prompts, and of a stream")
    func batches() throws {
        let prompts = try place.write("prompts.txt", "The fox\nThe dog jumps\nOver\n")
        let arguments = ["generate", place.teacher, "--prompts", prompts, "--max-tokens", "9", "--stop", "e"]
        let whole = try lines(MoultProcess(arguments: arguments).output)
        let parts = try lines(MoultProcess(arguments: arguments + ["--json-lines"]).output)
        #expect(whole.count == 3)
        for (index, expected) in whole.enumerated() {
            let own = parts.filter { $0["index"] == .integer(index) }
            #expect(text(own) == expected["text"]?.stringValue)
            #expect(own.count { $0["end"] != nil } == 1 && own.last?["end"] == expected["end"])
            #expect(own.last?["tokens"] == expected["tokens"])
        }
        let stream = try lines(
            MoultProcess(
                input: "The fox jumps over", "generate", place.teacher, "--stream", "--every", "4", "--max-tokens", "2",
                "--json-lines"
            ).output)
        #expect(stream.first?["context"] == 4 && stream.last?["end"] == "limit")
    }

    @Test("a model by option")
    func model() throws {
        let expected = try MoultProcess("generate", place.teacher, "-p", "The fox", "-n", "3")
        #expect(try MoultProcess("generate", "-m", place.teacher, "-p", "The fox", "-n", "3").output == expected.output)
        let file = try place.write("prompt.txt", "The fox")
        let long = try MoultProcess(
            "generate", "--model", place.teacher, "-f", file, "-n", "3", "--temp", "0", "-s", "7")
        #expect(long.status == 0 && long.output == expected.output)
        let none = try MoultProcess("generate", "-p", "The fox")
        #expect(none.status == 64)
        #expect(none.error.hasPrefix("Error: Expected a model, a Hugging Face folder or a .gguf file, found none.\n"))
        let two = try MoultProcess("generate", "x", "-m", "y", "-p", "The fox")
        #expect(two.status == 64 && two.error.hasPrefix("Error: --model: expected one model, found 'x' and 'y'.\n"))
    }

    @Test("threads", arguments: ["generate", "perplexity", "bench"])
    func threads(_ command: String) throws {
        let more =
            switch command {
            case "generate": ["--prompt", "x", "--max-tokens", "2"]
            case "perplexity": ["--data", place.text, "--window", "64", "--limit", "1"]
            default: ["--prefill", "4", "--decode", "2", "--repeats", "1"]
            }
        let one = try MoultProcess(arguments: [command, place.teacher, "-t", "1"] + more)
        #expect(one.status == 0, "\(one.error)")
        if command == "bench" { #expect(one.output.contains("1 threads"), "\(one.output)") }
        for wrong in ["0", "100000"] {
            let result = try MoultProcess(arguments: [command, place.teacher, "--threads", wrong] + more)
            #expect(
                result.status == 64 && result.error.hasPrefix("Error: --threads: expected 1 to "), "\(result.error)")
            #expect(result.error.contains("found \(wrong)."), "\(result.error)")
        }
    }

    @Test(
        "options of other programs",
        arguments: [
            (["generate", "x", "-c", "4096"], "-c: there is no context to set"),
            (["generate", "x", "--n-predict=5"], "--n-predict: use --max-tokens (-n)."),
            (["generate", "x", "-i"], "-i: a conversation is `moult chat MODEL`."),
            (["chat", "x", "-ngl", "99"], "-ngl: use --device cuda"),
            (["chat", "x", "-p", "Hello"], "-p: type or pipe in what is asked"),
            (["perplexity", "x", "-f", "wiki.txt"], "-f: use --data."),
        ])
    func others(_ arguments: [String], _ answer: String) throws {
        let result = try MoultProcess(arguments: arguments)
        #expect(result.status == 64 && result.output.isEmpty)
        #expect(result.error.hasPrefix("Error: \(answer)"), "\(result.error)")
    }
}
