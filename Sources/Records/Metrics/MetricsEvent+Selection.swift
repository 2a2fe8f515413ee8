import Checkpoints
import Support

extension MetricsEvent {
    /// Which heads a stage has given their softmax attention back, and how those that were tried did.
    public struct Selection: Record {
        /// Steps of the run so far.
        public var step: Int
        /// The score of the teacher, nats of an answer.
        public var teacher: Double
        /// The student's score before anything was chosen.
        public var student: Double
        /// What was chosen, in order.
        public var chosen: [HeadTrial]
        /// All trials of each choice.
        public var rounds: [[HeadTrial]]

        /// What a selection at `step` gave; scores in nats of an answer.
        public init(step: Int, teacher: Double, student: Double, chosen: [HeadTrial], rounds: [[HeadTrial]]) {
            (self.step, self.teacher, self.student) = (step, teacher, student)
            (self.chosen, self.rounds) = (chosen, rounds)
        }

        static let name = "selection"
        var place: Int? { step }

        var fields: JSONObject {
            func trial(_ trial: HeadTrial) -> JSONValue {
                var fields: JSONObject = ["layer": .integer(trial.layer)]
                fields["head"] = trial.head.map { .integer($0) }
                fields["recall"] = .number(trial.score.recall)
                fields["divergence"] = trial.score.divergence.map { .number($0) }
                return .object(fields)
            }
            return [
                "step": .integer(step), "teacher": .number(teacher), "student": .number(student),
                "chosen": .array(chosen.map(trial)),
                "rounds": .array(rounds.map { .object(["trials": .array($0.map(trial))]) }),
            ]
        }

        init(_ fields: MetricsFields) throws {
            func trial(_ fields: MetricsFields) throws -> HeadTrial {
                HeadTrial(
                    layer: try fields.count("layer"), head: try fields.optional("head", MetricsFields.count),
                    score: .init(
                        recall: try fields.number("recall"),
                        divergence: try fields.optional("divergence", MetricsFields.number)))
            }
            (step, teacher) = (try fields.count("step"), try fields.number("teacher"))
            student = try fields.number("student")
            chosen = try fields.list("chosen").map(trial)
            rounds = try fields.list("rounds").map { try $0.list("trials").map(trial) }
        }
    }
}
