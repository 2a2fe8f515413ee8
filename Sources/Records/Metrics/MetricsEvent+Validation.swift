import Checkpoints
import Foundation
import Support

extension MetricsEvent {
    /// The student measured on text that it is not trained on.
    public struct Validation: Record {
        /// Steps of the run so far.
        public var step: Int
        /// The stage's name.
        public var stage: String
        /// Tokens trained on so far, in all stages.
        public var tokens: Int
        /// Nats per token.
        public var loss: Double
        /// Whether no earlier loss was lower.
        public var isBest: Bool
        /// exp(loss).
        public var perplexity: Double { exp(loss) }

        /// A measurement at `step`; the loss in nats per token.
        public init(step: Int, stage: String, tokens: Int, loss: Double, isBest: Bool) {
            (self.step, self.stage, self.tokens, self.loss, self.isBest) = (step, stage, tokens, loss, isBest)
        }

        static let name = "validation"
        var place: Int? { step }

        var fields: JSONObject {
            [
                "step": .integer(step), "stage": .string(stage), "tokens": .integer(tokens), "loss": .number(loss),
                "perplexity": .number(perplexity), "best": .bool(isBest),
            ]
        }

        init(_ fields: MetricsFields) throws {
            step = try fields.count("step")
            stage = try fields.string("stage")
            tokens = try fields.count("tokens")
            loss = try fields.number("loss")
            isBest = try fields.bool("best")
        }
    }
}
