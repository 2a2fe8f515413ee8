import Checkpoints

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
        public var chosen: [HeadSelection.Trial]
        /// All trials of each choice.
        public var rounds: [[HeadSelection.Trial]]

        /// What a selection at `step` gave.
        public init(_ result: HeadSelection.Result, step: Int) {
            (self.step, teacher, student) = (step, result.teacher.recall, result.student.recall)
            (chosen, rounds) = (result.chosen, result.rounds)
        }

        static let name = "selection"
        var place: Int? { step }

        var fields: JSONObject {
            func trial(_ trial: HeadSelection.Trial) -> JSONValue {
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
            func trial(_ fields: MetricsFields) throws -> HeadSelection.Trial {
                HeadSelection.Trial(
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
