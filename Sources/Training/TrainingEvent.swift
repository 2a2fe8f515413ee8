import Foundation
import Models

/// What a run tells whoever watches it, in this order: ``started``, then steps, measurements and checkpoints, then
/// ``ended``.
public enum TrainingEvent: Sendable {
    public struct Step: Sendable {
        public var step: Int
        public var stage: StageConfiguration.Kind
        public var stageStep: Int
        public var stageSteps: Int
        public var tokens: Int
        /// Of `align` the mean relative squared error of the layers; otherwise nats per token.
        public var loss: Double
        public var learningRate: Double
        /// Before clipping; nil when the step was skipped.
        public var gradientNorm: Double?
        public var tokensPerSecond: Double
        public var skipped: Int
        public var seconds: Double
    }

    public struct Measurement: Sendable {
        public var step: Int
        public var stage: StageConfiguration.Kind
        public var tokens: Int
        let result: HeldRows.Result
        public var isBest: Bool
        /// Nats per token of the rows that are held apart.
        public var loss: Double { result.loss }
        public var perplexity: Double { exp(loss) }
    }

    /// `total` steps of all stages, of which `done` were done before.
    case started(done: Int, total: Int)
    case step(Step)
    /// Relative squared error of each layer, of the last batch of `align`.
    case alignment(step: Int, layers: [Int: Double])
    /// What a stage `select` has chosen, and what the student's memory takes with it.
    case selected(HeadSelection.Result, step: Int, memory: StateCost)
    /// Trials of a stage `select` that are done, and in all.
    case selecting(Int, Int)
    case measured(Measurement)
    case saved(step: Int, path: String)
    case stageEnded(StageConfiguration.Kind, step: Int)
    case warning(String)
    /// Whether the run is complete, or was stopped by whoever watches it.
    case ended(complete: Bool)
}
