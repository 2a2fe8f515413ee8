import Checkpoints
import Foundation
import Support

extension HeadSelection.Result {
    /// What `convert --keep-attention` takes: "18:2,8:0"; empty when nothing helps.
    public var keepAttention: String { chosen.map(\.name).joined(separator: ",") }

    /// The selection with all trials.
    public var json: JSONObject {
        func score(_ score: SelectionProbe.Score) -> JSONObject {
            [
                "recall": .number(score.recall),
                "divergence": score.divergence.map { .number($0) } ?? .null,
            ]
        }
        func trial(_ trial: HeadSelection.Trial) -> JSONValue {
            var json: JSONObject = [
                "layer": .integer(trial.layer), "head": trial.head.map { .integer($0) } ?? .null,
            ]
            for (key, value) in score(trial.score).pairs { json[key] = value }
            return .object(json)
        }
        return [
            "keep_attention": .string(keepAttention), "teacher": .object(score(teacher)),
            "student": .object(score(student)), "chosen": .array(chosen.map(trial)),
            "rounds": .array(rounds.map { .array($0.map(trial)) }),
        ]
    }

    /// Lines for the terminal: what was chosen, and the best of every round beside it.
    public func table() -> [String] {
        func line(_ name: String, _ score: SelectionProbe.Score) -> String {
            let divergence = score.divergence.map { String(format: "%10.4f", $0) } ?? ""
            return name.padding(toLength: 34, withPad: " ", startingAt: 0) + String(format: "%8.3f", score.recall)
                + divergence
        }
        let hasText = student.divergence != nil
        var lines = [
            "".padding(toLength: 34, withPad: " ", startingAt: 0) + "  recall" + (hasText ? "   distance" : "")
        ]
        lines += [line("the teacher", teacher), line("the student", student)]
        for (number, (choice, trials)) in zip(chosen, rounds).enumerated() {
            lines.append(line((number == 0 ? "with " : "and ") + choice.name, choice.score))
            let others = trials.filter { $0 != choice && ($0.head == nil) == (choice.head == nil) }
            for other in others.sorted(by: { $0.score.recall < $1.score.recall }).prefix(3) {
                lines.append(line("    instead: \(other.name)", other.score))
            }
        }
        lines.append(
            "recall: nats of an answer in lists of keys and values, lower is better" + (hasText ? "; distance: KL" : "")
        )
        if chosen.isEmpty { lines.append("no head brings recall back; is the student aligned with its teacher?") }
        return lines
    }
}
