import Checkpoints
import Support

/// One line of a run's metrics.jsonl: what happened, under the key "event" its kind.
public enum MetricsEvent: Sendable, Equatable {
    case start(Start)
    case plan(Plan)
    case step(Step)
    case alignment(Alignment)
    case selection(Selection)
    case validation(Validation)
    case recall(Recall)
    case notice(Notice)
    case positions(Positions)
    case memory(Memory)
    case stageEnd(StageEnd)
    case end(End)

    /// What the kinds have in common.
    protocol Record: Sendable, Equatable {
        /// The kind's name in the file.
        static var name: String { get }
        /// Updates of the model before this; nil when it does not depend on them.
        var place: Int? { get }
        /// The line without "event".
        var fields: JSONObject { get }
        init(_ fields: MetricsFields) throws
    }

    private var record: any Record {
        switch self {
        case .start(let record): record
        case .plan(let record): record
        case .step(let record): record
        case .alignment(let record): record
        case .selection(let record): record
        case .validation(let record): record
        case .recall(let record): record
        case .notice(let record): record
        case .positions(let record): record
        case .memory(let record): record
        case .stageEnd(let record): record
        case .end(let record): record
        }
    }

    /// How many updates the model had had; nil when that does not matter.
    public var step: Int? { record.place }

    /// The line as JSON.
    public var json: JSONObject {
        let record = record
        return JSONObject([("event", .string(type(of: record).name))] + record.fields.pairs.map { ($0.key, $0.value) })
    }

    /// Reads what ``json`` wrote. Keys that it does not know are passed over.
    /// - Throws: ``MetricsError/malformed(file:line:key:expected:found:)``.
    init(_ fields: MetricsFields) throws {
        let kind = try fields.string("event")
        self =
            switch kind {
            case Start.name: .start(try Start(fields))
            case Plan.name: .plan(try Plan(fields))
            case Step.name: .step(try Step(fields))
            case Alignment.name: .alignment(try Alignment(fields))
            case Selection.name: .selection(try Selection(fields))
            case Validation.name: .validation(try Validation(fields))
            case Recall.name: .recall(try Recall(fields))
            case Notice.name: .notice(try Notice(fields))
            case Positions.name: .positions(try Positions(fields))
            case Memory.name: .memory(try Memory(fields))
            case StageEnd.name: .stageEnd(try StageEnd(fields))
            case End.name: .end(try End(fields))
            default: throw fields.malformed("event", expected: "a kind of event that this version of Moult knows")
            }
    }
}
