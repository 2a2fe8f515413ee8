import Foundation
import Records
import Support

extension RunNotice {
    /// What is said of `finding`.
    /// - Parameters:
    ///   - done: what has been done about it; nil for nothing.
    ///   - patience: steps in a row that are left out before the run ends.
    init(_ finding: RunWatch.Finding, step: Int, stage: String, done: String?, patience: Int) {
        func perplexity(_ loss: Double) -> String { Figures.perplexity(exp(loss)) }
        let lower = "lower the stage's learning_rate or clip"
        switch finding {
        case .plateau(let measurements, let best, let bestStep):
            let count = measurements == 1 ? "a measurement" : "\(measurements) measurements"
            let lowest = best.map { " (best \(perplexity($0)) at step \(bestStep))" } ?? ""
            let more =
                done
                ?? "it may be done: stop, or set on_plateau to lower or stop in config.yaml and go on with --resume"
            self.init(
                step: step, stage: stage, kind: .plateau,
                text: "validation perplexity has not fallen for \(count)\(lowest): \(more)")
        case .rise(let loss, let best, let bestStep):
            let share = Figures.short(100 * (exp(loss - best) - 1), digits: 2)
            self.init(
                step: step, stage: stage, kind: .rise,
                text: "validation perplexity \(perplexity(loss)) is \(share)% above the stage's best, "
                    + "\(perplexity(best)) at step \(bestStep): the learning rate may be too high, or the text too short; "
                    + "best/ keeps the best student")
        case .notFinite:
            self.init(
                step: step, stage: stage, kind: .rise,
                text: "validation perplexity is not finite: the student is broken, and best/ keeps the best one; "
                    + "begin again with a lower learning rate")
        case .spike(let loss, let mean):
            self.init(
                step: step, stage: stage, kind: .spike,
                text:
                    "the loss of step \(step), \(Figures.short(loss)), is \(Figures.short(loss / mean, digits: 2)) times "
                    + "the mean of the \(RunWatch.window) steps before: one does no harm; if validation rises too, \(lower)"
            )
        case .skipped(let parameter):
            let what = parameter.map { "the gradient of '\($0)'" } ?? "its loss"
            self.init(
                step: step, stage: stage, kind: .skipped,
                text:
                    "step \(step) was left out, for \(what) is not finite; \(patience) in a row end the run: if there "
                    + "are more, \(lower)")
        }
    }
}
