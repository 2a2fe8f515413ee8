import Foundation
import Models
import Records

/// What a run tells whoever watches it, in this order: ``started(done:total:)``, ``planned(_:)``, then steps, measurements and checkpoints,
/// then ``ended(complete:)``.
public enum TrainingEvent: Sendable {
    /// The figures of a step.
    public struct Step: Sendable {
        /// Steps of the run so far, counted from 1.
        public var step: Int
        /// The stage that it belongs to.
        public var stage: StageConfiguration.Kind
        /// Steps of the stage so far, counted from 1.
        public var stageStep: Int
        /// Steps of the whole stage.
        public var stageSteps: Int
        /// Of the whole run, less what stages were cut short by.
        public var totalSteps: Int
        /// Tokens of the run so far.
        public var tokens: Int
        /// Of `align` the mean relative squared error of the layers; otherwise nats per token.
        public var loss: Double
        /// The rate of this step.
        public var learningRate: Double
        /// Before clipping; nil when the step was skipped.
        public var gradientNorm: Double?
        /// Tokens of the step per second.
        public var tokensPerSecond: Double
        /// Steps of the run that were left out because their gradients were not finite.
        public var skipped: Int
        /// Seconds that the step took.
        public var seconds: Double
        /// The most that tensors have taken of the device's memory at once in the stage so far; nil where that is the machine's.
        public var deviceBytes: Int?
    }

    /// A measurement on rows that were held apart.
    public struct Measurement: Sendable {
        /// Steps of the run so far.
        public var step: Int
        /// The stage that it belongs to.
        public var stage: StageConfiguration.Kind
        /// Tokens of the run so far.
        public var tokens: Int
        let result: HeldRows.Result
        /// Answers to the questions of recall, by length of the lists.
        var recall: [HeldRecall.Result] = []
        /// Whether no earlier perplexity was as low.
        public var isBest: Bool
        /// Whether no step comes after it.
        var isLast: Bool
        /// Nats per token of the rows that are held apart.
        public var loss: Double { result.loss }
        /// exp(loss).
        public var perplexity: Double { exp(loss) }
        /// The share of the questions of recall that are answered, by ascending length of the lists.
        public var recalled: [(length: Int, share: Double)] { recall.map { ($0.length, $0.accuracy) } }
    }

    /// The questions of recall that are asked at each measurement.
    public struct RecallQuestions: Sendable {
        /// By ascending length of the lists, in tokens; the share that the teacher answers.
        public var kinds: [(length: Int, questions: Int, teacher: Double?)]
        /// The share that guessing answers.
        public var chance: Double
        /// Tokens that are read at a measurement.
        public var tokens: Int
    }

    /// `total` steps of all stages, of which `done` were done before.
    case started(done: Int, total: Int)
    /// What the stages will take of a device's memory, where it has its own.
    case planned([StagePlan])
    case step(Step)
    /// Relative squared error of each layer, of the last batch of `align`.
    case alignment(step: Int, layers: [Int: Double])
    /// What a stage `select` has chosen, and what the student's memory takes with it.
    case selected(HeadSelection.Result, step: Int, memory: StateCost)
    /// Trials of a stage `select` that are done, and in all.
    case selecting(Int, Int)
    /// Before the first measurement, where questions of recall are asked.
    case asking(RecallQuestions)
    case measured(Measurement)
    /// What a person should know; it follows the step or the measurement that shows it.
    case noticed(RunNotice)
    case saved(step: Int, path: String)
    case stageEnded(StageConfiguration.Kind, step: Int)
    case warning(String)
    /// Whether the run is complete, or was stopped by whoever watches it.
    case ended(complete: Bool)
}
