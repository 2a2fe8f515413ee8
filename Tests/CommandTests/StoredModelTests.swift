import Checkpoints
import Foundation
import Support
import Tensors
import TestSupport
import Testing

/// Files that Moult cannot run, and what `inspect` shows of them.
@Suite("moult inspect, whatever the architecture")
struct StoredModelTests {
    private let folder: TemporaryFolder
    init() throws { folder = try TemporaryFolder() }

    private func safetensors(_ name: String, _ tensor: String, in path: String) throws {
        let header = #"{"\#(tensor)":{"dtype":"F32","shape":[2,4],"data_offsets":[0,32]}}"#
        let length = withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Data($0) }
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        try (length + Data(header.utf8) + Data(count: 32)).write(to: URL(fileURLWithPath: "\(path)/\(name)"))
    }

    private func expect(_ path: String, what: String, why: String, tensor: String) throws {
        let result = try MoultProcess("inspect", path)
        let lines = result.output.split(separator: "\n").map(String.init)
        #expect(result.status == 0, "\(result.error)")
        #expect(lines.dropFirst().first == "what          \(what)", "\(result.output)")
        #expect(lines.dropFirst(2).first?.hasPrefix("not run       ") ?? false && lines[2].contains(why))
        #expect(lines.contains { $0.hasPrefix(tensor) && $0.hasSuffix("32 bytes") }, "\(result.output)")
        let json = try MoultProcess("inspect", path, "--json").json()
        #expect(json["what"] == .string(what) && json["parameters"] == 8 && json["bytes"] == 32)
        #expect(json["tensors"]?.arrayValue?.first?["shape"] == [2, 4])
        #expect(json["tensors"]?.arrayValue?.first?["name"] == .string(tensor))
    }

    @Test("a folder of an unknown architecture")
    func unknownType() throws {
        let path = "\(folder.path)/mamba"
        try safetensors("model.safetensors", "model.norm.weight", in: path)
        try folder.write("mamba/config.json", #"{"model_type": "mamba"}"#)
        try expect(
            path, what: "a Hugging Face folder of architecture mamba",
            why: "unsupported model_type mamba; supported: llama",
            tensor: "model.norm.weight")
        #expect(try MoultProcess("convert", path, "--dry-run").status == 1)
    }

    @Test("a folder without config.json, a file of an image model, subfolders, an adapter")
    func noConfiguration() throws {
        try safetensors("weights.safetensors", "a", in: "\(folder.path)/none")
        try expect(
            "\(folder.path)/none", what: "a folder of safetensors files without config.json", why: "no config.json",
            tensor: "a")
        try safetensors("image.safetensors", "model.diffusion_model.x", in: folder.path)
        try expect(
            "\(folder.path)/image.safetensors", what: "one safetensors file, an image model", why: "only the weights",
            tensor: "model.diffusion_model.x")
        try safetensors("diffusion_pytorch_model.safetensors", "conv", in: "\(folder.path)/pipe/unet")
        try folder.write("pipe/model_index.json", #"{"_class_name": "StableDiffusionPipeline"}"#)
        try expect("\(folder.path)/pipe", what: "a diffusers pipeline", why: "no config.json", tensor: "conv")
        try safetensors("adapter_model.safetensors", "q_proj.lora_A.weight", in: "\(folder.path)/lora")
        try folder.write(
            "lora/adapter_config.json", #"{"peft_type": "LORA", "r": 8, "base_model_name_or_path": "org/base"}"#)
        try expect(
            "\(folder.path)/lora", what: "an adapter (LORA) of org/base, rank 8", why: "merge it into its model",
            tensor: "q_proj.lora_A.weight")
    }

    @Test("a .gguf file of another architecture, with types that are not read", arguments: ["mamba", "gemma", "clip"])
    func gguf(architecture: String) throws {
        func integer<Integer: FixedWidthInteger>(_ value: Integer) -> Data {
            withUnsafeBytes(of: value.littleEndian) { Data($0) }
        }
        func string(_ text: String) -> Data { integer(UInt64(text.utf8.count)) + Data(text.utf8) }
        var file = Data("GGUF".utf8) + integer(UInt32(3)) + integer(UInt64(2)) + integer(UInt64(1))
        file += string("general.architecture") + integer(UInt32(8)) + string(architecture)
        // 256 elements of IQ2_XXS are 66 bytes, as in GGML_QUANT_SIZES of gguf 0.17.
        file += string("blk.0.ffn_norm.weight") + integer(UInt32(1)) + integer(UInt64(256)) + integer(UInt32(16))
        file += integer(UInt64(0))
        file += string("output.weight") + integer(UInt32(1)) + integer(UInt64(8)) + integer(UInt32(0))
        file += integer(UInt64(96))
        file += Data(count: (32 - file.count % 32) % 32 + 96 + 32)
        let path = try folder.write("\(architecture).gguf", file)
        let result = try MoultProcess("inspect", path)
        #expect(result.status == 0, "\(result.error)")
        for part in [
            "what          a GGUF file of architecture \(architecture)\n",
            "unsupported general.architecture \(architecture); supported: llama, qwen2, ",
            "264 in 2 tensors, 98 bytes\n", "F32 × 1, IQ2_XXS × 1\n", "blk.0.ffn_norm.weight",
            "[256]            66 bytes\n",
        ] { #expect(result.output.contains(part), "\(part): \(result.output)") }
        #expect(try MoultProcess("convert", path, "--dry-run").status == 1)
    }

    @Test("a tokenizer that is not known or damaged stops neither inspect nor convert", arguments: [true, false])
    func tokenizer(isUnknown: Bool) throws {
        let tiny = try TinyModel()
        let file = "\(tiny.teacher)/tokenizer.json"
        var text = #"{"model": "#
        if isUnknown {
            var json = try #require(try JSONValue(file: file).objectValue)
            var model = try #require(json["model"]?.objectValue)
            model["type"] = "Mystery"
            json["model"] = .object(model)
            text = JSONValue.object(json).text()
        }
        try tiny.write("teacher/tokenizer.json", text)
        let problem = isUnknown ? "model Mystery is not supported" : "not valid JSON"
        let inspected = try MoultProcess("inspect", tiny.teacher)
        #expect(inspected.status == 0 && inspected.output.contains(problem))
        let output = "\(tiny.path)/student"
        let converted = try MoultProcess("convert", tiny.teacher, "--output", output)
        #expect(converted.status == 0, "\(converted.error)")
        #expect(
            converted.output.contains(problem)
                && converted.output.contains(
                    "its files are copied as they are, but no text can be read with the result")
        )
        #expect(tiny.text("student/tokenizer.json") == text)
        let generated = try MoultProcess("generate", output, "--prompt", "x")
        #expect(generated.status == 1 && generated.error.contains(problem), "\(generated.error)")
    }

    @Test(
        "windows, slots and positions",
        arguments: [
            ("fla-gsa-hybrid", "slots         16 for each key/value head\n", "sliding_window", 8),
            ("fla-gsa-hybrid", "window        softmax attention sees the last 8 tokens\n", "slots", 16),
            ("mistral-sliding-window", "window        softmax attention sees the last 8 tokens\n", "sliding_window", 8),
            (
                "moult-gsa-window", "slots         16 for each key/value head, beside a window of 8 tokens\n", "window",
                8
            ),
            (
                "llama-biases-llama3-rope",
                "positions     RoPE, theta 10000, llama3, factor 8, original context 64\n", "context", 256
            ),
            ("llama-linear-rope", ", linear, factor ", "context", 256),
        ] as [(String, String, String, JSONValue)])
    func facts(fixture: String, line: String, key: String, value: JSONValue) throws {
        let path = "\(packageRoot)/Tests/ModelsTests/Fixtures/\(fixture)"
        #expect(try MoultProcess("inspect", path).output.contains(line), "\(line)")
        let json = try MoultProcess("inspect", path, "--json").json()
        #expect(json[key] == value)
        if fixture == "llama-biases-llama3-rope" {
            #expect(
                json["rope"] == [
                    "theta": 10000.0, "type": "llama3", "factor": 8.0, "original_max_position_embeddings": 64,
                ])
        }
    }
}
