import Checkpoints
import Support

extension MetricsEvent {
    /// Perplexity by position in the row: what the student makes of a context that grows.
    public struct Positions: Record {
        /// Steps of the run so far.
        public var step: Int
        /// Positions that are taken together, from 0.
        public var ranges: [Range<Int>]
        /// The perplexity of the teacher in each range; nil without one.
        public var teacher: [Double]?
        /// The perplexity of the student in each range.
        public var student: [Double]

        /// A measurement at `step`, a figure for each of `ranges`.
        public init(step: Int, ranges: [Range<Int>], teacher: [Double]?, student: [Double]) {
            (self.step, self.ranges, self.teacher, self.student) = (step, ranges, teacher, student)
        }

        static let name = "positions"
        var place: Int? { step }

        var fields: JSONObject {
            var fields: JSONObject = [
                "step": .integer(step),
                "ranges": .array(ranges.map { [.integer($0.lowerBound), .integer($0.upperBound)] }),
            ]
            fields["teacher"] = teacher.map { .array($0.map { .number($0) }) }
            fields["student"] = .array(student.map { .number($0) })
            return fields
        }

        init(_ fields: MetricsFields) throws {
            step = try fields.count("step")
            ranges = try fields.ranges("ranges")
            teacher = try fields.optional("teacher", MetricsFields.numbers)
            student = try fields.numbers("student")
            for (key, values) in [("teacher", teacher), ("student", student)]
            where values != nil && values?.count != ranges.count {
                throw fields.malformed(key, expected: "\(ranges.count) perplexities, one for each range")
            }
        }
    }
}
