import Models
import TestSupport
import Testing
import Training

@Suite("Training of models of other families")
struct FamilyTrainingTests {
    @Test("every stage lowers the loss of a converted model, and trains what it should", arguments: FamilyShape.names)
    func stages(_ name: String) throws {
        let run = try TinyRun("align=960,distil=960,finetune=960", family: name)
        // Batches differ more than what conversion leaves to learn: the same ones are read by a model that learns nothing.
        run.eachStage { $0.schedule.peak = 1e-9 }
        let untrained = try run.train("untrained")
        run.eachStage { $0.schedule.peak = $0.kind == .finetune ? 3e-3 : $0.kind == .distil ? 1e-4 : 3e-4 }
        let trained = try run.train()
        #expect(trained.steps.count == 90 && trained.isComplete)
        for kind in [StageConfiguration.Kind.align, .distil, .finetune] {
            func loss(_ record: TinyRun.Record) -> Double {
                record.steps.filter { $0.stage == kind }.suffix(10).reduce(0) { $0 + $1.loss / 10 }
            }
            let (before, after) = (loss(untrained), loss(trained))
            #expect(before.isFinite && after < before, "\(kind): \(after), untrained \(before)")
        }
        #expect(trained.steps.allSatisfy { $0.skipped == 0 && $0.gradientNorm ?? 0 > 0 })
        #expect(try run.changed("run/student") == Set(run.parameters("model").keys))
    }
}
