import Conversion
import Models

/// What a run's students say of how they were made.
struct StudentCard {
    /// Of the model that the run began with.
    let record: ModelRecord
    let configuration: ModelConfiguration
    /// The run, before its first step.
    let training: ModelRecord.Training

    /// - Parameters:
    ///   - stages: what each has had so far.
    ///   - step: the student's place in the run of so many `steps`.
    ///   - loss: of the student as it is, in nats per token; nil when it was not measured.
    func record(
        _ student: RunFolder.Student, stages: [ModelRecord.Training.Stage], step: Int, of steps: Int,
        held: HeldMeasurements, loss: Double?
    ) -> ModelRecord {
        var training = training
        (training.stages, training.isBest) = (stages, student == .best)
        (training.step, training.steps) = (step, steps)
        training.perplexity.rows = held.rows
        training.perplexity.teacher = HeldMeasurements.perplexity(held.teacher?.loss)
        training.perplexity.before = HeldMeasurements.perplexity(held.untrained)
        training.perplexity.after = HeldMeasurements.perplexity(loss)
        var record = record
        record.steps.append(.training(training))
        return record
    }
}
