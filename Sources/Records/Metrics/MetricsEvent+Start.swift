import Checkpoints
import Foundation
import Support

extension MetricsEvent {
    /// A run begins, or goes on after a stop.
    public struct Start: Record {
        /// What one stage is to do.
        public struct Stage: Sendable, Equatable {
            /// The stage's name.
            public var name: String
            /// The budget.
            public var tokens: Int
            /// Steps that it will take.
            public var steps: Int
            /// Rows of one update.
            public var sequences: Int
            /// Tokens of a row, where it is not the run's.
            public var length: Int?

            /// A stage of `steps` steps with `sequences` rows each.
            public init(name: String, tokens: Int, steps: Int, sequences: Int, length: Int? = nil) {
                (self.name, self.tokens, self.steps, self.sequences) = (name, tokens, steps, sequences)
                self.length = length
            }
        }

        /// The model that the student learns from.
        public struct Teacher: Sendable, Equatable {
            /// The name of its folder or file.
            public var name: String
            /// On the rows on which the student is measured.
            public var perplexity: Double?

            /// The teacher called `name`.
            public init(name: String, perplexity: Double? = nil) { (self.name, self.perplexity) = (name, perplexity) }
        }

        /// The version of Moult.
        public var version: String
        /// To the second.
        public var time: Date
        /// The stages in their order.
        public var stages: [Stage]
        /// Tokens of a row.
        public var sequenceLength: Int
        /// The share of rows that ask for what stands in them; 0 where there are none.
        public var recallShare: Double
        /// Parameters of the student.
        public var parameters: Int
        /// Parameters of the student that any stage trains.
        public var trainedParameters: Int
        /// The model that is learned from; nil where no stage needs one.
        public var teacher: Teacher?
        /// The step of the checkpoint from which the run goes on.
        public var resumedFrom: Int?

        /// The beginning of a run of `stages`.
        public init(
            version: String, time: Date = Date(), stages: [Stage], sequenceLength: Int,
            recallShare: Double = 0, parameters: Int, trainedParameters: Int, teacher: Teacher? = nil,
            resumedFrom: Int? = nil
        ) {
            (self.version, self.time, self.stages, self.sequenceLength) = (version, time, stages, sequenceLength)
            self.recallShare = recallShare
            (self.parameters, self.trainedParameters) = (parameters, trainedParameters)
            (self.teacher, self.resumedFrom) = (teacher, resumedFrom)
        }

        static let name = "start"
        var place: Int? { resumedFrom ?? 0 }

        var fields: JSONObject {
            var fields: JSONObject = [
                "moult": .string(version), "time": .string(time.formatted(.iso8601)),
                "stages": .array(
                    stages.map {
                        var stage: JSONObject = [
                            "name": .string($0.name), "tokens": .integer($0.tokens), "steps": .integer($0.steps),
                            "sequences": .integer($0.sequences),
                        ]
                        stage["sequence_length"] = $0.length.map { .integer($0) }
                        return .object(stage)
                    }),
                "sequence_length": .integer(sequenceLength),
                "parameters": .integer(parameters), "trained_parameters": .integer(trainedParameters),
            ]
            if recallShare > 0 { fields["recall_share"] = .number(recallShare) }
            if let teacher {
                var object: JSONObject = ["name": .string(teacher.name)]
                object["perplexity"] = teacher.perplexity.map { .number($0) }
                fields["teacher"] = .object(object)
            }
            fields["resumed_from"] = resumedFrom.map { .integer($0) }
            return fields
        }

        init(_ fields: MetricsFields) throws {
            version = try fields.string("moult")
            guard let time = try? Date(fields.string("time"), strategy: .iso8601) else {
                throw fields.malformed("time", expected: "a time such as 2026-01-31T12:00:00Z")
            }
            self.time = time
            stages = try fields.list("stages").map {
                Stage(
                    name: try $0.string("name"), tokens: try $0.count("tokens"), steps: try $0.count("steps"),
                    sequences: try $0.count("sequences"),
                    length: try $0.optional("sequence_length", MetricsFields.count))
            }
            sequenceLength = try fields.count("sequence_length")
            recallShare = try fields.optional("recall_share", MetricsFields.number) ?? 0
            parameters = try fields.count("parameters")
            trainedParameters = try fields.count("trained_parameters")
            teacher = try fields.optional("teacher", MetricsFields.fields).map {
                Teacher(name: try $0.string("name"), perplexity: try $0.optional("perplexity", MetricsFields.number))
            }
            resumedFrom = try fields.optional("resumed_from", MetricsFields.count)
        }
    }
}
