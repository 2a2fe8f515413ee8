import Checkpoints
import Foundation
import Models
import Tensors
import TestSupport
import Testing
import Training

@Suite("Rates relative to weights") struct RateScaleTests {
    private func strength(_ values: [Float]) -> Double {
        (values.reduce(0) { $0 + Double($1) * Double($1) } / Double(values.count)).squareRoot()
    }

    @Test("are those of the model that the recipe was tuned on where a model's weights are")
    func scales() throws {
        let run = try TinyRun("align=64")
        let files = try ModelFiles.open(run.path("model"))
        let scales = try RateScales(TrainableModel(files, as: nil))
        let layer = "model.layers.1."
        func values(_ name: String) throws -> [Float] { try files.checkpoint.load(layer + name, as: .float32).array() }
        let query = try strength(values("self_attn.q_proj.weight"))
        #expect(abs(scales[layer + "self_attn.q_proj.weight"] / (query / 0.19) - 1) < 1e-6)
        let input = try strength(values("input_layernorm.weight")), width = 16.0
        for name in ["gate_proj", "window_proj"] {
            let scale = scales[layer + "self_attn.\(name).weight"]
            #expect(abs(scale / (7.7 / (width.squareRoot() * input)) - 1) < 1e-6, "\(name)")
            #expect(scales[layer + "self_attn.\(name).bias"] == 1)
        }
        #expect(scales[layer + "input_layernorm.weight"] == 1)
    }

    @Test("a step of align changes a matrix by its share, of finetune by the rate")
    func steps() throws {
        for (stage, isRelative) in [("align=16", true), ("finetune=16", false)] {
            let run = try TinyRun(stage)
            run.configuration.length = 16
            run.eachStage { ($0.schedule.warmUpSteps, $0.schedule.peak, $0.sequences) = (0, 1e-3, 1) }
            run.eachStage { $0.schedule.final = 1 }
            run.eachStage { ($0.optimiser.weightDecay, $0.optimiser.epsilon) = (0, 1e-30) }
            _ = try run.train()
            let name = "model.layers.1.self_attn.q_proj.weight"
            func values(_ path: String) throws -> [Float] {
                try ModelFiles.open(run.path(path)).checkpoint.load(name, as: .float32).array()
            }
            let (before, after) = (try values("model"), try values("run/student"))
            // The first step of Adam's changes every element by the rate.
            let expected = 1e-3 * (isRelative ? strength(before) / 0.19 : 1)
            let moved = zip(before, after).map { Double(abs($1 - $0)) }.sorted()[before.count / 2]
            #expect(abs(moved / expected - 1) < 0.02, "\(stage): \(moved), expected \(expected)")
        }
    }

    @Test("of few heads the recipe gives a third back, and layers with a window of their own are not chosen ones")
    func fewHeads() throws {
        let run = try TinyRun("align=64", family: "gemma3-pattern")
        let model = try ModelConfiguration(ModelFiles.open(run.path("model")).configuration)
        #expect(model.mixers.contains("attention") && model.mixers.contains("gsa"))
        var configuration = TrainingConfiguration()
        try configuration.fillStages(
            for: model, on: .cpu, keepsSettings: (length: false, recall: false, frequency: false))
        #expect(configuration.stages.map(\.kind) == [.align, .select, .distil] && configuration.stages[1].tokens == 1)
    }
}
