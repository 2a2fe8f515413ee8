import Checkpoints
import Foundation
import Support
import TestSupport
import Testing

@Suite("Many prompts at once")
struct GenerateBatchTests {
    @Test("each gives what it gives alone, in the order of the file")
    func equalsSingle() throws {
        let folder = try TemporaryFolder()
        let prompts = ["The capital of France is", "One, two, three,", "Water boils at a temperature of"]
        let lines = prompts.map { JSONValue.object(["prompt": .string($0), "id": 7]).text() }
        let path = try folder.write("prompts.jsonl", Data((lines.joined(separator: "\n\n") + "\n").utf8))
        let result = try MoultProcess(
            "generate", smolLM2, "--prompts", path, "--batch", "2", "--max-tokens", "8", "--stop", ".")
        #expect(result.status == 0)
        let found = try result.output.split(separator: "\n").map {
            try JSONValue(parsing: Data($0.utf8), file: "output")
        }
        #expect(found.map { $0["index"] } == [0, 1, 2])
        for (prompt, line) in zip(prompts, found) {
            let alone = try MoultProcess(
                "generate", smolLM2, "--prompt", prompt, "--max-tokens", "8", "--stop", ".", "--json"
            ).json()
            #expect(line["prompt"] == .string(prompt))
            #expect(line["text"] == alone["text"])
            #expect(line["tokens"] == alone["tokens"])
            #expect(line["end"] == alone["end"])
        }
    }

    @Test func refusals() throws {
        let folder = try TemporaryFolder()
        func error(_ content: String, _ name: String = "p.jsonl", _ more: String...) throws -> String {
            let path = try folder.write(name, Data(content.utf8))
            let result = try MoultProcess(arguments: ["generate", smolLM2, "--prompts", path] + more)
            #expect(result.status != 0 && result.status < 128 && result.output.isEmpty)
            return result.error
        }
        #expect(try error("{\"prompt\": \"a\"}\n{\"text\": 1}").contains("p.jsonl:2: expected an object"))
        #expect(try error("{\"prompt\": ").contains("p.jsonl:1"))
        #expect(try error("[1]").contains("found an array"))
        #expect(try error("\n \n", "p.txt").contains("at least one prompt"))
        #expect(try error("a", "p.txt", "--batch", "0").contains("--batch"))
        #expect(try error("a", "p.txt", "--max-tokens", "0").contains("--max-tokens"))
        #expect(try error("a", "p.txt", "--save-state", "x").contains("--save-state"))
        #expect(try error("a", "p.txt", "--prompt", "x").contains("--prompts"))
    }
}
