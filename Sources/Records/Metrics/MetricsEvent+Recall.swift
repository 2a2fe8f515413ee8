import Checkpoints
import Support

extension MetricsEvent {
    /// Questions whose answers stand in what was read before, asked beside a validation.
    public struct Recall: Record {
        /// The answers about lists of one length.
        public struct Answers: Sendable, Equatable {
            /// The most tokens of a list.
            public var length: Int
            /// Questions that were asked.
            public var questions: Int
            /// The share that the student answers, 0 to 1.
            public var student: Double
            /// The share that the teacher answers; nil without one.
            public var teacher: Double?

            /// Shares of right answers to questions about texts of `length` tokens.
            public init(length: Int, questions: Int, student: Double, teacher: Double?) {
                (self.length, self.questions, self.student, self.teacher) = (length, questions, student, teacher)
            }
        }

        /// Steps of the run so far.
        public var step: Int
        /// The share that guessing answers.
        public var chance: Double
        /// By ascending length.
        public var answers: [Answers]

        /// A measurement at `step`, one of ``answers`` for each length.
        public init(step: Int, chance: Double, answers: [Answers]) {
            (self.step, self.chance, self.answers) = (step, chance, answers)
        }

        static let name = "recall"
        var place: Int? { step }

        var fields: JSONObject {
            [
                "step": .integer(step), "chance": .number(chance),
                "answers": .array(
                    answers.map {
                        var fields: JSONObject = [
                            "length": .integer($0.length), "questions": .integer($0.questions),
                            "student": .number($0.student),
                        ]
                        fields["teacher"] = $0.teacher.map { .number($0) }
                        return .object(fields)
                    }),
            ]
        }

        init(_ fields: MetricsFields) throws {
            step = try fields.count("step")
            chance = try fields.number("chance")
            answers = try fields.list("answers").map {
                Answers(
                    length: try $0.count("length"), questions: try $0.count("questions"),
                    student: try $0.number("student"), teacher: try $0.optional("teacher", MetricsFields.number))
            }
        }
    }
}
