import Checkpoints

extension MetricsEvent {
    /// Which heads a stage has given their softmax attention back, and how those that were tried did.
    public struct Selection: Record {
        public var step: Int
        /// Nats of an answer.
        public var teacher: Double
        public var student: Double
        public var chosen: [Trial]
        /// All trials of each choice.
        public var rounds: [[Trial]]

        /// A layer, or one of its heads.
        public struct Trial: Sendable, Equatable {
            public var layer: Int
            public var head: Int?
            /// Nats of an answer, and nats per token of ordinary text from the teacher.
            public var recall: Double
            public var divergence: Double?

            public var name: String { head.map { "\(layer):\($0)" } ?? "\(layer)" }
        }

        public init(_ result: HeadSelection.Result, step: Int) {
            func trial(_ trial: HeadSelection.Trial) -> Trial {
                Trial(
                    layer: trial.layer, head: trial.head, recall: trial.score.recall,
                    divergence: trial.score.divergence)
            }
            (self.step, teacher, student) = (step, result.teacher.recall, result.student.recall)
            (chosen, rounds) = (result.chosen.map(trial), result.rounds.map { $0.map(trial) })
        }

        static let name = "selection"
        var place: Int? { step }

        var fields: JSONObject {
            func trial(_ trial: Trial) -> JSONValue {
                var fields: JSONObject = ["layer": .integer(trial.layer)]
                fields["head"] = trial.head.map { .integer($0) }
                fields["recall"] = .number(trial.recall)
                fields["divergence"] = trial.divergence.map { .number($0) }
                return .object(fields)
            }
            return [
                "step": .integer(step), "teacher": .number(teacher), "student": .number(student),
                "chosen": .array(chosen.map(trial)),
                "rounds": .array(rounds.map { .object(["trials": .array($0.map(trial))]) }),
            ]
        }

        init(_ fields: MetricsFields) throws {
            func trial(_ fields: MetricsFields) throws -> Trial {
                Trial(
                    layer: try fields.count("layer"), head: try fields.optional("head", MetricsFields.count),
                    recall: try fields.number("recall"),
                    divergence: try fields.optional("divergence", MetricsFields.number))
            }
            (step, teacher) = (try fields.count("step"), try fields.number("teacher"))
            student = try fields.number("student")
            chosen = try fields.list("chosen").map(trial)
            rounds = try fields.list("rounds").map { try $0.list("trials").map(trial) }
        }
    }
}
