import Checkpoints
import Foundation
import TestSupport
import Testing

@Suite("A model as wide as Mistral-7B", .timeLimit(.minutes(2)))
struct WideModelTests {
    /// One layer with its MLP of 14336 inputs, in a folder with a small tokenizer.
    private func makeModel(in folder: TemporaryFolder) throws -> String {
        let path = "\(folder.path)/model"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        try ModelShape.mistral.with(hidden: 128, heads: 4, vocabulary: 2003).write(to: path)
        for name in ["tokenizer.json", "tokenizer_config.json"] {
            try FileManager.default.copyItem(
                atPath: "\(packageRoot)/Tests/TrainingTests/Fixtures/teacher/\(name)", toPath: "\(path)/\(name)")
        }
        return path
    }

    @Test("generate ends after prompts of 5 to 8 tokens", arguments: 5...8)
    func generate(_ count: Int) throws {
        let folder = try TemporaryFolder()
        let model = try makeModel(in: folder)
        // A word that is one token, after the text's beginning, which is one too.
        let prompt = String(repeating: " with", count: count - 1)
        // A process that does not end is killed: an interrupt waits for the next token.
        let result = try MoultProcess(
            executable: "/usr/bin/timeout",
            arguments: ["-s", "KILL", "60", MoultProcess.executable.path, "generate", model, "--prompt", prompt]
                + ["--max-tokens", "3", "--json"])
        #expect(result.status == 0, "\(result.error)")
        #expect(try result.json()["prompt_tokens"] == .integer(count))
    }
}
