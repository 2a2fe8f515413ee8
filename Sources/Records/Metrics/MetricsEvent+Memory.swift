import Checkpoints
import Models
import Support

extension MetricsEvent {
    /// What the state of one sequence takes.
    public struct Memory: Record {
        /// Bytes of one sequence's state in the teacher; nil without one.
        public var teacher: StateCost?
        /// Bytes of one sequence's state in the student.
        public var student: StateCost

        /// What both models' states take.
        public init(teacher: StateCost?, student: StateCost) { (self.teacher, self.student) = (teacher, student) }

        static let name = "memory"
        var place: Int? { nil }

        var fields: JSONObject {
            var fields: JSONObject = [:]
            fields["teacher"] = teacher.map(Self.json)
            fields["student"] = Self.json(student)
            return fields
        }

        init(_ fields: MetricsFields) throws {
            teacher = try fields.optional("teacher", MetricsFields.fields).map(Self.cost)
            student = try Self.cost(fields.fields("student"))
        }

        private static func json(_ cost: StateCost) -> JSONValue {
            ["constant_bytes": .integer(cost.constant), "bytes_per_token": .integer(cost.perToken)]
        }

        private static func cost(_ fields: MetricsFields) throws -> StateCost {
            StateCost(constant: try fields.count("constant_bytes"), perToken: try fields.count("bytes_per_token"))
        }
    }
}
