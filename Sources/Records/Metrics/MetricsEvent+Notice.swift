import Checkpoints
import Support

extension MetricsEvent {
    /// What a person should know of the run.
    public struct Notice: Record {
        /// What is to be known.
        public var notice: RunNotice

        /// A line of `notice`.
        public init(_ notice: RunNotice) { self.notice = notice }

        static let name = "notice"
        var place: Int? { notice.step }

        var fields: JSONObject {
            [
                "step": .integer(notice.step), "stage": .string(notice.stage), "kind": .string(notice.kind.rawValue),
                "text": .string(notice.text),
            ]
        }

        init(_ fields: MetricsFields) throws {
            guard let kind = RunNotice.Kind(rawValue: try fields.string("kind")) else {
                throw fields.malformed(
                    "kind", expected: RunNotice.Kind.allCases.map(\.rawValue).joined(separator: ", "))
            }
            notice = RunNotice(
                step: try fields.count("step"), stage: try fields.string("stage"), kind: kind,
                text: try fields.string("text"))
        }
    }
}
