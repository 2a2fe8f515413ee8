import Checkpoints
import Models
import Support

/// Where a run is, beside its parameters: enough to go on as if it had never stopped.
struct TrainingState: Sendable {
    /// Index of the stage in hand.
    var stage = 0
    /// Updates of that stage, and of all stages.
    var stageStep = 0
    var step = 0
    /// Rows of the training data that have been read.
    var rows = 0
    /// Tokens that have been trained on.
    var tokens = 0
    /// Steps left out because gradients were not finite: in all, and in a row until now.
    var skipped = 0
    var skippedInARow = 0
    /// The lowest validation loss so far, nats per token.
    var bestLoss: Double?
    /// Heads that stages have chosen, in order: "LAYER:HEAD".
    var kept: [KeptHead] = []
    /// Stages that ended before all their steps, in order, and the steps that they had.
    var shortened: [(stage: Int, steps: Int)] = []
    /// What the stage's losses have shown so far.
    var watch = RunWatch()
    /// What was measured on the way.
    var held = HeldMeasurements()
    /// Processes that have worked on the run since it was begun or resumed.
    var ranks = 1

    var json: JSONObject {
        var json: JSONObject = [
            "stage": .integer(stage), "stage_step": .integer(stageStep), "step": .integer(step), "rows": .integer(rows),
            "tokens": .integer(tokens), "skipped": .integer(skipped), "skipped_in_a_row": .integer(skippedInARow),
            "best_loss": bestLoss.map { .number($0) } ?? .null, "kept": .array(kept.map { .string($0.description) }),
            "shortened": .array(shortened.map { [.integer($0.stage), .integer($0.steps)] }),
            "watch": .object(watch.json), "held": .object(held.json),
        ]
        if ranks > 1 { json["ranks"] = .integer(ranks) }
        return json
    }

    /// - Returns: nil when a key is missing or negative.
    init?(_ json: JSONValue) {
        func integer(_ key: String) -> Int? { json[key]?.integerValue.flatMap { $0 >= 0 ? $0 : nil } }
        guard let stage = integer("stage"), let stageStep = integer("stage_step"), let step = integer("step"),
            let rows = integer("rows"), let tokens = integer("tokens"), let skipped = integer("skipped"),
            let skippedInARow = integer("skipped_in_a_row")
        else {
            return nil
        }
        (self.stage, self.stageStep, self.step, self.rows) = (stage, stageStep, step, rows)
        (self.tokens, self.skipped, self.skippedInARow) = (tokens, skipped, skippedInARow)
        bestLoss = json["best_loss"]?.doubleValue
        if case .array(let names)? = json["kept"] {
            for name in names {
                guard case .string(let text) = name, let head = KeptHead(text) else { return nil }
                kept.append(head)
            }
        }
        for entry in json["shortened"]?.arrayValue ?? [] {
            guard let numbers = entry.arrayValue?.compactMap(\.integerValue), numbers.count == 2 else { return nil }
            shortened.append((numbers[0], numbers[1]))
        }
        guard let watch = RunWatch(json["watch"]) else { return nil }
        (self.watch, held) = (watch, HeldMeasurements(json["held"]))
        ranks = max(1, json["ranks"]?.integerValue ?? 1)
    }

    init() {}
}
