import Checkpoints
import Foundation
import Support
import TestSupport
import Testing

/// Files that are no files, and files that change while they are read.
@Suite("Files of strangers neither hang nor end the program without a word", .serialized) struct HostileFileTests {
    private static let teacher = "\(packageRoot)/Tests/TrainingTests/Fixtures/teacher"

    @Test(
        "a pipe in the place of a model's file is refused at once", .timeLimit(.minutes(2)),
        arguments: [
            "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja",
            "generation_config.json", "model.safetensors.index.json",
        ])
    func pipeInModel(name: String) throws {
        let folder = try TemporaryFolder()
        let model = "\(folder.path)/model"
        try FileManager.default.copyItem(atPath: Self.teacher, toPath: model)
        try? FileManager.default.removeItem(atPath: "\(model)/\(name)")
        if name.hasSuffix("index.json") { try FileManager.default.removeItem(atPath: "\(model)/model.safetensors") }
        try #require(mkfifo("\(model)/\(name)", 0o600) == 0)
        let result = try MoultProcess("generate", model, "--prompt", "a", "--max-tokens", "1")
        if name == "generation_config.json" { return }
        expectFailure(result, name, "a pipe")
        let converted = try MoultProcess("convert", model, "--output", "\(folder.path)/out")
        #expect(converted.status < 128)
        if converted.status != 0 { #expect(!FileManager.default.fileExists(atPath: "\(folder.path)/out")) }
    }

    @Test("a pipe that nobody writes to is refused wherever a file is named", .timeLimit(.minutes(2)))
    func pipeAsOption() throws {
        let folder = try TemporaryFolder()
        let pipe = "\(folder.path)/pipe", teacher = Self.teacher, text = try folder.write("text.txt", "some words here")
        try #require(mkfifo(pipe, 0o600) == 0)
        for arguments in [
            ["inspect", pipe], ["generate", teacher, "--prompt-file", pipe], ["generate", teacher, "--prompts", pipe],
            ["generate", teacher, "--prompt", "a", "--load-state", pipe], ["chat", teacher, "--load-state", pipe],
            ["perplexity", teacher, "--data", pipe], ["debug-tokens", teacher, "--data", pipe],
            ["evaluate", teacher, "--task", "lambada=\(pipe)"],
            ["train", "--config", pipe, "--output", "\(folder.path)/run"],
            ["train", teacher, "--data", pipe, "--output", "\(folder.path)/run"],
            ["train", teacher, "--data", text, "--validation", pipe, "--output", "\(folder.path)/run"],
            ["quantize", teacher, "--bits", "4", "--calibration", pipe, "--output", "\(folder.path)/q"],
            ["debug-logits", teacher, "--tokens", pipe, "--output", "\(folder.path)/l"],
        ] {
            let result = try MoultProcess(arguments: arguments)
            #expect(result.status != 0 && result.status < 128, "\(arguments): \(result.error)")
            #expect(result.error.contains("Error"), "\(arguments): \(result.error)")
        }
    }

    @Test("a pipe that somebody writes to is a text", .timeLimit(.minutes(1)))
    func pipeOfText() throws {
        let result = try MoultProcess(input: "some words", "debug-tokens", Self.teacher, "--data", "/dev/stdin")
        let file = try TemporaryFolder()
        let same = try MoultProcess("debug-tokens", Self.teacher, "--data", try file.write("text", "some words"))
        #expect(result.status == 0 && result.output == same.output, "\(result.error)")
    }

    @Test("a mapped file that is cut short is named, and nothing half-written is left", .timeLimit(.minutes(2)))
    func shrinks() throws {
        let folder = try TemporaryFolder()
        let model = "\(folder.path)/model", weights = "\(model)/model.safetensors"
        try Self.writeLargeModel(model)
        let running = try RunningMoult(["quantize", model, "--bits", "8", "--output", "\(folder.path)/out"])
        running.wait { folder.contents.contains { $0.hasPrefix(".out.moult-") } }
        #expect(truncate(weights, 5000) == 0)
        let result = running.finish()
        #expect(result.status == 1, "\(result.status): \(result.error)")
        #expect(
            result.error.hasSuffix(
                "Error: \(weights): was cut short while it was read; copy the file again, and replace model files by "
                    + "renaming\n"), "\(result.error)")
        #expect(folder.contents == ["model", "model/config.json", "model/model.safetensors"])
    }

    /// A Llama of 330 MB of zeros, which take no place on the disk.
    private static func writeLargeModel(_ path: String) throws {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        let (width, vocabulary) = (1024, 40_000)
        let config: JSONValue = [
            "model_type": "llama", "vocab_size": .integer(vocabulary), "hidden_size": .integer(width),
            "num_hidden_layers": 1, "num_attention_heads": 8, "intermediate_size": .integer(width),
        ]
        try config.text().write(toFile: "\(path)/config.json", atomically: true, encoding: .utf8)
        let square = [width, width], layer = "model.layers.0."
        let shapes: [(String, [Int])] = [
            ("model.embed_tokens.weight", [vocabulary, width]), ("lm_head.weight", [vocabulary, width]),
            ("model.norm.weight", [width]), ("\(layer)input_layernorm.weight", [width]),
            ("\(layer)post_attention_layernorm.weight", [width]),
            ("\(layer)self_attn.q_proj.weight", square), ("\(layer)self_attn.k_proj.weight", square),
            ("\(layer)self_attn.v_proj.weight", square), ("\(layer)self_attn.o_proj.weight", square),
            ("\(layer)mlp.gate_proj.weight", square), ("\(layer)mlp.up_proj.weight", square),
            ("\(layer)mlp.down_proj.weight", square),
        ]
        var header = JSONObject(), end = 0
        for (name, shape) in shapes {
            let start = end
            end += shape.reduce(4, *)
            header[name] = [
                "dtype": "F32", "shape": .array(shape.map { .integer($0) }),
                "data_offsets": [.integer(start), .integer(end)],
            ]
        }
        let text = Data(JSONValue.object(header).text().utf8)
        let length = withUnsafeBytes(of: UInt64(text.count).littleEndian) { Data($0) }
        let weights = "\(path)/model.safetensors"
        try (length + text).write(to: URL(fileURLWithPath: weights))
        guard truncate(weights, 8 + text.count + end) == 0 else { throw CocoaError(.fileWriteUnknown) }
    }
}
