import Checkpoints
import Support

extension MetricsEvent {
    /// One update of the parameters.
    public struct Step: Record {
        /// Steps of the run so far, this one included.
        public var step: Int
        /// The stage's name.
        public var stage: String
        /// Steps of the stage so far, counted from 1.
        public var stageStep: Int
        /// Tokens trained on so far, in all stages.
        public var tokens: Int
        /// Of `align` the mean relative squared error of the layers; otherwise nats per token.
        public var loss: Double
        /// The rate of this step.
        public var learningRate: Double
        /// Before clipping; nil when the step was skipped.
        public var gradientNorm: Double?
        /// Tokens of the step per second.
        public var tokensPerSecond: Double
        /// Steps skipped so far because gradients were not finite.
        public var skipped: Int
        /// What this update took.
        public var seconds: Double
        /// The most that tensors have taken of the device's memory at once in the stage so far; nil where that is the machine's.
        public var deviceBytes: Int?

        /// A step with these figures.
        public init(
            step: Int, stage: String, stageStep: Int, tokens: Int, loss: Double, learningRate: Double,
            gradientNorm: Double?, tokensPerSecond: Double, skipped: Int, seconds: Double, deviceBytes: Int? = nil
        ) {
            (self.step, self.stage, self.stageStep, self.tokens) = (step, stage, stageStep, tokens)
            (self.loss, self.learningRate, self.gradientNorm) = (loss, learningRate, gradientNorm)
            (self.tokensPerSecond, self.skipped, self.seconds) = (tokensPerSecond, skipped, seconds)
            self.deviceBytes = deviceBytes
        }

        static let name = "step"
        var place: Int? { step }

        var fields: JSONObject {
            var fields: JSONObject = [
                "step": .integer(step), "stage": .string(stage), "stage_step": .integer(stageStep),
                "tokens": .integer(tokens), "loss": .number(loss), "learning_rate": .number(learningRate),
                "gradient_norm": gradientNorm.map { .number($0) } ?? .null,
                "tokens_per_second": .number(tokensPerSecond), "skipped": .integer(skipped),
                "seconds": .number(seconds),
            ]
            if let deviceBytes { fields["device_bytes"] = .integer(deviceBytes) }
            return fields
        }

        init(_ fields: MetricsFields) throws {
            step = try fields.count("step")
            stage = try fields.string("stage")
            stageStep = try fields.count("stage_step")
            tokens = try fields.count("tokens")
            loss = try fields.number("loss")
            learningRate = try fields.number("learning_rate")
            gradientNorm = try fields.optional("gradient_norm", MetricsFields.number)
            tokensPerSecond = try fields.number("tokens_per_second")
            skipped = try fields.count("skipped")
            seconds = try fields.number("seconds")
            deviceBytes = try fields.optional("device_bytes", MetricsFields.count)
        }
    }
}
