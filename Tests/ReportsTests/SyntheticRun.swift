import Checkpoints
import Foundation
import Records
import Support
import TestSupport

/// The events of a run of two stages: `align` to step 40, `distil` to step 100, 1024 tokens a step.
struct SyntheticRun {
    var teacher = "SmolLM2-135M"
    var stages = ["align", "distil"]
    var loss: (Int) -> Double = { 0.5 * exp(-Double($0) / 30) }
    var steps = 100

    var events: [MetricsEvent] {
        var events: [MetricsEvent] = [
            .start(
                .init(
                    version: "0.1.0", time: Date(timeIntervalSince1970: 1_767_225_600),
                    stages: stages.map { .init(name: $0, tokens: 51_200, steps: 50, sequences: 2) },
                    sequenceLength: 512, parameters: 137_994_318, trainedParameters: 3_479_310,
                    teacher: .init(name: teacher, perplexity: 20))),
            .memory(
                .init(teacher: .init(constant: 0, perToken: 46_080), student: .init(constant: 5_898_240, perToken: 0))),
            .validation(.init(step: 0, stage: stages[0], tokens: 0, loss: log(48), isBest: true)),
        ]
        for step in 1...steps {
            let stage = stages[step <= 2 * steps / 5 ? 0 : 1]
            events.append(
                .step(
                    .init(
                        step: step, stage: stage, stageStep: step, tokens: 1024 * step, loss: loss(step),
                        learningRate: 1e-3 / Double(step), gradientNorm: step % 7 == 0 ? nil : 1 + sin(Double(step)),
                        tokensPerSecond: 310, skipped: step / 7, seconds: 3.3)))
            guard step % (steps / 10) == 0 else { continue }
            events.append(
                .validation(
                    .init(
                        step: step, stage: stage, tokens: 1024 * step,
                        loss: log(22 + 26 * exp(-Double(step) / Double(steps) * 9)), isBest: true)))
            events.append(.alignment(.init(step: step, layers: [0.5 / Double(step), nil, 0.25 / Double(step)])))
        }
        events.append(
            .positions(
                .init(step: steps, ranges: [0..<16, 16..<32, 32..<512], teacher: [60, 30, 17], student: [61, 31, 21])))
        events.append(.stageEnd(.init(step: steps, stage: stages[1])))
        events.append(.end(.init(step: steps, reason: "complete")))
        return events
    }

    /// Writes the run into `folder`.
    func write(to folder: TemporaryFolder, keeping isKept: (MetricsEvent) -> Bool = { _ in true }) throws {
        try folder.write(
            "run/metrics.jsonl",
            events.filter(isKept).map { JSONValue.object($0.json).text() + "\n" }.joined())
    }
}
