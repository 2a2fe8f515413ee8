import Foundation
import Training

/// Shows a run on the terminal: a bar with loss, speed and time left, and a line for every measurement.
final class TrainingDisplay {
    private let bar: ProgressBar
    private var selecting: ProgressBar?

    init(totalSteps: Int) { bar = ProgressBar("training", total: totalSteps, unit: .steps) }

    func show(_ event: TrainingEvent) throws {
        switch event {
        case .started(let done, let total):
            if done > 0 { bar.note("going on after step \(done) of \(total)") }
            bar.begin(at: done)
        case .planned(let plans):
            bar.note("planned for each device:")
            for plan in plans { bar.note("  " + plan.text) }
        case .step(let step):
            // The loss of the other stages is an error or a divergence.
            let perplexity = step.stage == .finetune ? String(format: "  perplexity %.2f", exp(step.loss)) : ""
            let skipped = step.skipped > 0 ? "  \(step.skipped) skipped" : ""
            try bar.update(
                step.step, of: step.totalSteps,
                note: step.stage.rawValue + String(format: "  loss %.4f", step.loss) + perplexity
                    + String(format: "  %.0f tok/s", step.tokensPerSecond) + skipped)
        case .asking(let questions):
            let lengths = questions.kinds.map { String($0.length) }.joined(separator: " / ")
            let teacher = questions.kinds.compactMap(\.teacher).map(Self.share).joined(separator: " / ")
            bar.note(
                "recall: \(questions.kinds.first?.questions ?? 0) questions each about lists of \(lengths) tokens; "
                    + (teacher.isEmpty ? "" : "teacher \(teacher), ") + "chance \(Self.share(questions.chance))")
        case .measured(let measurement):
            let recall = measurement.recalled.map { Self.share($0.share) }.joined(separator: " / ")
            let place = String(format: "step %6d  %9d tokens", measurement.step, measurement.tokens)
            bar.note(
                "\(place)  \(measurement.stage.rawValue)".padded(to: 42)
                    + String(format: "validation perplexity %9.3f", measurement.perplexity)
                    + (recall.isEmpty ? "" : "  recall \(recall)")
                    + (measurement.isBest && measurement.step > 0 ? "  best" : ""))
            try Interrupt.check()
        case .selecting(let done, let total):
            if selecting == nil, done < total { selecting = ProgressBar("selecting heads", total: total) }
            try selecting?.update(done, of: total)
            if done == total { selecting?.finish() }
            try Interrupt.check()
        case .selected(let result, _, _):
            selecting?.finish()
            selecting = nil
            for line in result.table() { bar.note(line) }
        case .noticed(let notice): bar.note("step \(notice.step): \(notice.text)")
        case .warning(let text): bar.note("warning: \(FlagWords.named(text))")
        case .alignment, .saved, .stageEnded, .ended: break
        }
    }

    private static func share(_ share: Double) -> String { String(format: "%.2f", share) }

    func finish() { bar.finish() }
}
