import Checkpoints
import Support

extension MetricsEvent {
    /// A stage has had all its steps.
    public struct StageEnd: Record {
        /// Steps of the run so far.
        public var step: Int
        /// The stage's name.
        public var stage: String

        /// The end of `stage` at `step`.
        public init(step: Int, stage: String) { (self.step, self.stage) = (step, stage) }

        static let name = "stage_end"
        var place: Int? { step }
        var fields: JSONObject { ["step": .integer(step), "stage": .string(stage)] }

        init(_ fields: MetricsFields) throws {
            step = try fields.count("step")
            stage = try fields.string("stage")
        }
    }

    /// The run is complete, or was stopped.
    public struct End: Record {
        /// Steps of the run so far.
        public var step: Int
        /// Such as "complete", "stopped", or the error that ended the run.
        public var reason: String

        /// The end of a run at `step`.
        public init(step: Int, reason: String) { (self.step, self.reason) = (step, reason) }

        static let name = "end"
        var place: Int? { step }
        var fields: JSONObject { ["step": .integer(step), "reason": .string(reason)] }

        init(_ fields: MetricsFields) throws {
            step = try fields.count("step")
            reason = try fields.string("reason")
        }
    }
}
