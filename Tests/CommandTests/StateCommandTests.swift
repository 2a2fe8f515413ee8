import Checkpoints
import Foundation
import Support
import TestSupport
import Testing

@Suite("States, streams and conversations on SmolLM2-135M", .serialized)
struct StateCommandTests {
    private let folder: TemporaryFolder
    private let prompt = "Lyon is a large city in the east of France. The river"

    init() throws { folder = try TemporaryFolder() }

    private func generate(_ arguments: String...) throws -> JSONObject {
        try MoultProcess(
            arguments: ["generate", smolLM2, "--temperature", "0.9", "--seed", "5", "--json"] + arguments
        ).json()
    }

    @Test("saved and loaded, a sampled text goes on as it would have")
    func saves() throws {
        let (path, state) = (try folder.write("prompt.txt", Data(prompt.utf8)), "\(folder.path)/a.state")
        let whole = try generate("--prompt", prompt, "--max-tokens", "14")
        let first = try generate("--prompt-file", path, "--max-tokens", "6", "--save-state", state)
        let second = try generate("--load-state", state, "--max-tokens", "8", "--seed", "77")
        let parts = [first, second].compactMap { $0["text"]?.stringValue }.joined()
        #expect(whole["text"] == .string(parts))
        #expect(second["context"] == whole["context"])

        let stop = String(parts.dropFirst(8).prefix(3))
        let stopped = try generate("--prompt", prompt, "--max-tokens", "14", "--stop", stop)
        #expect(stopped["end"] == "stopString")
        #expect(parts.hasPrefix((stopped["text"]?.stringValue ?? "none") + stop))
    }

    @Test("a stream reads as the whole text does")
    func streams() throws {
        let whole = try MoultProcess("generate", smolLM2, "--prompt", prompt, "--max-tokens", "8")
        let process = try RunningMoult(["generate", smolLM2, "--stream", "--max-tokens", "8"], hasInput: true)
        for byte in Data(prompt.utf8) { process.write(Data([byte])) }
        let streamed = process.finish()
        #expect(streamed.status == 0)
        #expect(prompt + streamed.output == whole.output)
        let every = try MoultProcess(
            input: prompt, "generate", smolLM2, "--stream", "--every", "4", "--max-tokens", "3")
        // Continuations on the way leave the state as it was.
        #expect(every.output.contains("[4]") && every.output.contains("[8]"))
        #expect(whole.output.hasPrefix(prompt + (every.output.split(separator: "\n").last ?? "none")))
    }

    @Test("interrupted, a stream saves what it has read")
    func interrupted() throws {
        let state = "\(folder.path)/a.state"
        let process = try RunningMoult(
            ["generate", smolLM2, "--stream", "--every", "512", "--max-tokens", "1", "--save-state", state],
            hasInput: true)
        process.write(Data(String(repeating: "some words, and more. ", count: 200).utf8))
        // The continuation after 512 tokens shows that they are read.
        process.waitForOutput()
        process.signal(SIGINT)
        let result = process.finish()
        #expect(result.status == 130)
        let json = try generate("--load-state", state, "--max-tokens", "1")
        #expect((json["context"]?.doubleValue ?? 0) >= 512)
    }

    @Test("a prompt is read once")
    func cache() throws {
        let cache = "\(folder.path)/cache"
        let first = try generate("--prompt", prompt, "--max-tokens", "8", "--prompt-cache", cache)
        let second = try generate("--prompt", prompt, "--max-tokens", "8", "--prompt-cache", cache)
        #expect(first["cached_tokens"] == 0)
        #expect(second["cached_tokens"] == second["prompt_tokens"])
        #expect(first["text"] == second["text"])
    }

    @Test("a conversation with its commands")
    func chat() throws {
        let state = "\(folder.path)/chat.state"
        let result = try MoultProcess(
            input: """
                What is the capital of France?
                /stats
                /save \(state)
                /fork other
                Name a river there.
                /switch main
                /stats
                /load \(state)
                /nonsense
                /switch nowhere
                /reset
                /stats
                """, "chat", smolLM2, "--max-tokens", "24", "--temperature", "0")
        // Two of the lines fail, and nobody watches.
        #expect(result.status == 1)
        #expect(result.output.contains("Paris"))
        let lines = result.error.split(separator: "\n").map(String.init)
        #expect(lines.count { $0.hasPrefix("main: 2 messages") } == 2, "\(result.error)")
        #expect(lines.contains { $0.hasPrefix("loaded \(state): 2 messages") })
        #expect(lines.count { $0.hasPrefix("Error: ") } == 2)
        #expect(lines.last?.hasPrefix("main: 0 messages, 0 tokens") == true)
        let resumed = try MoultProcess(input: "/stats\n/quit\nnever asked\n", "chat", smolLM2, "--load-state", state)
        #expect(resumed.error.contains("main: 2 messages") && resumed.output.isEmpty && resumed.status == 0)
        let failed = try MoultProcess(input: "/load \(folder.path)/none\n/stats\n", "chat", smolLM2)
        #expect(failed.status == 1 && failed.error.contains("Error: \(folder.path)/none: "), "\(failed.error)")
        #expect(failed.error.contains("\nmain: 0 messages, 0 tokens, "), "\(failed.error)")
    }
}
