import Checkpoints
import Foundation
import Support
import TestSupport
import Testing

@Suite("Commands with models that have experts")
struct ExpertCommandTests {
    private let tiny: TinyModel

    init() throws { tiny = try TinyModel() }

    private func write(_ model: ExpertModel, _ change: (inout JSONObject) -> Void = { _ in }) throws {
        try removeWeights()
        try model.write(to: tiny.teacher, configuration: change)
    }

    private func removeWeights() throws {
        try FileManager.default.removeItem(atPath: "\(tiny.teacher)/model.safetensors")
    }

    @discardableResult
    private func run(_ arguments: String...) throws -> String {
        let result = try MoultProcess(arguments: arguments)
        #expect(result.status == 0, "\(arguments): \(result.error)")
        return result.output
    }

    @Test(
        "inspect, convert, train, quantize, perplexity, evaluate, generate and chat",
        arguments: [ExpertModel.fused, .qwen])
    func everything(_ model: ExpertModel) throws {
        try write(model)
        let (student, output) = ("\(tiny.path)/student", "\(tiny.path)/run")
        let shown = try run("inspect", tiny.teacher)
        let line =
            model == .qwen
            ? "4 of width 32 in 1 of 2 layers; a token takes 2, and 184,128 parameters"
            : "4 of width 32 in 2 of 2 layers; a token takes 2, and 178,176 parameters"
        #expect(shown.contains("experts       \(line)\n"), "\(shown)")
        try run("convert", tiny.teacher, "--output", student, "--slots", "4", "--window", "4")
        let json = try MoultProcess("inspect", student, "--json").json()
        let (all, active) = (json["parameters"]?.integerValue ?? 0, json["active_parameters"]?.integerValue ?? 0)
        #expect(all - active == (model == .qwen ? 12_288 : 24_576))
        try run(
            "train", student, "--teacher", tiny.teacher, "--data", tiny.text, "--output", output, "--stages",
            "align=64,select=1,distil=64,finetune=64", "--length", "16")
        for (bits, more) in [("8", []), ("4", ["--calibration", tiny.text])] {
            let rounded = "\(tiny.path)/q\(bits)"
            let result = try MoultProcess(
                arguments: ["quantize", "\(output)/student", "--output", rounded, "--bits", bits] + more)
            #expect(result.status == 0, "\(result.error)")
            let perplexity = try MoultProcess("perplexity", rounded, "--data", tiny.text, "--limit", "1", "--json")
                .json()
            #expect((perplexity["perplexity"]?.doubleValue ?? 0) > 1, "\(perplexity)")
            try run("generate", rounded, "--prompt", "The fox", "--max-tokens", "3")
        }
        try run("evaluate", "\(output)/student", "--tasks", "recall", "--length", "256", "--limit", "2")
        let chat = try MoultProcess(input: "The fox\n", arguments: ["chat", "\(tiny.path)/q4", "--max-tokens", "3"])
        #expect(chat.status == 0, "\(chat.error)")
    }

    @Test("bad files: one line each, and no output")
    func refusals() throws {
        func error(_ command: String, _ more: String...) throws -> String {
            let output = "\(tiny.path)/out"
            let result = try MoultProcess(
                arguments: [command, tiny.teacher] + more + (command == "convert" ? ["--output", output] : []))
            #expect(result.status != 0 && result.output.isEmpty && !tiny.exists("out"))
            #expect(result.error.split(separator: "\n").count == 1, "\(result.error)")
            return result.error.replacing(tiny.teacher, with: "MODEL")
        }
        try write(.qwen) { $0["num_experts_per_tok"] = 9 }
        for command in ["convert", "generate"] {
            let text = try command == "generate" ? error(command, "--prompt", "x") : error(command)
            #expect(text == "Error: MODEL/config.json: num_experts_per_tok: expected an integer from 1 to 4, found 9\n")
        }
        try write(.qwen) { $0["num_experts"] = 5 }
        #expect(try error("generate", "--prompt", "x").contains("mlp.gate.weight' has shape [4, 64], expected [5, 64]"))
        #expect(try error("convert").contains("mlp.gate.weight"))
        try removeWeights()
        try ExpertModel.mixtral.write(
            to: tiny.teacher, tensors: { $0["model.layers.0.block_sparse_moe.experts.1.w2.weight"] = nil })
        #expect(try error("convert").contains("model.layers.0.mlp.experts.1.down_proj.weight"))
    }
}
