import Checkpoints
import Foundation
import TestSupport
import Testing
import Training

@Suite("Training models with experts")
struct ExpertTrainingTests {
    @Test(
        "every stage lowers its loss, and reaches experts and routers as it does an MLP",
        arguments: [ExpertModel.mixtral, .qwen], [StageConfiguration.Kind.align, .distil, .finetune])
    func stages(_ model: ExpertModel, _ kind: StageConfiguration.Kind) throws {
        // The rows of the last steps are others than those of the first: so a run that learns next to nothing is beside it.
        func lastLosses(_ run: TinyRun, peak: Double) throws -> Double {
            run.eachStage { $0.schedule.peak = peak }
            let record = try run.train(peak < 1e-6 ? "still" : "run")
            #expect(record.losses.count == 160 && record.isComplete)
            return record.losses.suffix(20).reduce(0, +)
        }
        let run = try TinyRun("\(kind.rawValue)=5120", experts: model)
        let (still, taught) = try (lastLosses(run, peak: 1e-9), lastLosses(run, peak: 1e-3))
        #expect(taught < 0.9 * still, "\(kind): \(still) to \(taught)")
        let names = try run.changed("run/student")
        let prefix = "model.layers.1.mlp"
        let own = ["\(prefix).gate.weight"] + (0..<4).map { "\(prefix).experts.\($0).down_proj.weight" }
        for name in own { #expect(names.contains(name) == (kind != .align), "\(name)") }
    }

    @Test("what is frozen stays, and a run goes on after a stop as if there had been none")
    func frozen() throws {
        let run = try TinyRun("distil=320", experts: .qwen)
        run.eachStage { $0.freeze = ["*.mlp.*"] }
        let whole = try run.train("whole")
        let names = try run.changed("whole/student")
        #expect(!names.isEmpty && names.allSatisfy { !$0.contains(".mlp.") })
        (run.configuration.checkpoints.every, run.configuration.stages[0].freeze) = (2, [])
        let other = try run.train("other")
        let place = try #require(
            other.events.firstIndex { if case .step(let step) = $0 { step.step == 5 } else { false } })
        try run.train("stopped", stop: place)
        try run.train("stopped", resuming: true)
        #expect(whole.isComplete && other.isComplete)
        #expect(try run.bytes("stopped/student/model.safetensors") == run.bytes("other/student/model.safetensors"))
    }

    @Test("a teacher of other experts is refused")
    func otherTeacher() throws {
        let run = try TinyRun("distil=320", experts: .mixtral)
        try FileManager.default.removeItem(atPath: "\(run.path("teacher"))/model.safetensors")
        try ExpertModel.mixtral.write(to: run.path("teacher"), configuration: { $0["num_experts_per_tok"] = 1 })
        let error = #expect(throws: (any Error).self) { try run.train() }
        let text = error.map { "\($0)" } ?? ""
        #expect(
            text.contains("experts of a token 2, as the model has") && text.contains("experts of a token 1"), "\(text)")
    }
}
