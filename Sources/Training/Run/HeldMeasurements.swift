import Checkpoints
import Foundation
import Support

/// What was measured on the rows that are held apart and is asked for again later in the run. A checkpoint keeps it.
struct HeldMeasurements: Sendable, Equatable {
    /// Rows that were read. With other rows, nothing of this holds.
    var rows = 0
    var teacher: HeldRows.Result?
    /// The teacher's answers to the questions of recall; empty when it was not asked.
    var teacherRecall: [HeldRecall.Result] = []
    /// Nats per token of the student before its first step, and at the last measurement.
    var untrained: Double?
    var last: Double?

    init(rows: Int = 0) { self.rows = rows }

    /// exp(loss), where that is a number.
    static func perplexity(_ loss: Double?) -> Double? { loss.map { exp($0) }.flatMap { $0.isFinite ? $0 : nil } }

    var json: JSONObject {
        var json: JSONObject = ["rows": .integer(rows)]
        json["untrained"] = untrained.map { .number($0) }
        json["last"] = last.map { .number($0) }
        if let teacher {
            json["teacher"] = [
                "loss": .number(teacher.loss),
                "ends": .array(teacher.ranges.map { .integer($0.upperBound) }),
                "losses": .array(teacher.lossByRange.map { .number($0) }),
            ]
        }
        if !teacherRecall.isEmpty { json["teacher_recall"] = .array(teacherRecall.map { .object($0.json) }) }
        return json
    }

    /// What is missing or damaged was not measured.
    init(_ json: JSONValue?) {
        rows = json?["rows"]?.integerValue ?? 0
        untrained = json?["untrained"]?.doubleValue
        last = json?["last"]?.doubleValue
        teacher = json?["teacher"].flatMap { HeldRows.Result($0) }
        teacherRecall = (json?["teacher_recall"]?.arrayValue ?? []).compactMap { HeldRecall.Result($0) }
    }
}

extension HeldRows.Result {
    fileprivate init?(_ json: JSONValue) {
        guard let loss = json["loss"]?.doubleValue,
            let ends = json["ends"]?.arrayValue?.compactMap(\.integerValue),
            let losses = json["losses"]?.arrayValue?.compactMap(\.doubleValue), losses.count == ends.count
        else { return nil }
        var ranges: [Range<Int>] = []
        for end in ends {
            let start = ranges.last?.upperBound ?? 0
            guard end > start else { return nil }
            ranges.append(start..<end)
        }
        self.init(loss: loss, ranges: ranges, lossByRange: losses)
    }
}

extension HeldRecall.Result {
    fileprivate var json: JSONObject {
        ["length": .integer(length), "questions": .integer(questions), "accuracy": .number(accuracy)]
    }

    fileprivate init?(_ json: JSONValue) {
        guard let length = json["length"]?.integerValue, let questions = json["questions"]?.integerValue,
            let accuracy = json["accuracy"]?.doubleValue
        else { return nil }
        self.init(length: length, questions: questions, accuracy: accuracy)
    }
}
