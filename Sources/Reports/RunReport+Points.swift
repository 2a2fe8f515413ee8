import Records
import Support

/// The point of each chart in words.
extension RunReport {
    var perplexityPoint: String {
        guard let best else { return "" }
        let ratio = teacherPerplexity.map {
            ", \(Figures.short(best.perplexity / $0)) times the teacher's \(Figures.perplexity($0))"
        }
        return "best \(Figures.perplexity(best.perplexity))" + (ratio ?? "")
    }

    /// First and last loss of each stage.
    var lossPoint: String {
        stageRuns.compactMap { run in
            let finite = run.steps.map(\.loss).filter(\.isFinite)
            guard let first = finite.first, let last = finite.last else { return nil }
            return "\(run.stage) \(Figures.short(first)) → \(Figures.short(last))"
        }.joined(separator: "; ")
    }

    var alignmentPoint: String {
        let errors = alignmentErrors
        guard let worst = errors.max(by: { $0.last < $1.last }) else { return "" }
        let mean = errors.reduce(0) { $0 + $1.last / Double(errors.count) }
        return "mean \(Figures.short(mean)); most in layer \(worst.index), \(Figures.short(worst.last))"
    }

    var positionPoint: String {
        guard let positions, let student = positions.student.last, let range = positions.ranges.last else { return "" }
        let teacher = positions.teacher?.last.map { ", teacher \(Figures.perplexity($0))" } ?? ""
        return "from position \(Figures.grouped(range.lowerBound)) on: student \(Figures.perplexity(student))\(teacher)"
    }

    var selectionPoint: String {
        guard let selection = selections.last else { return "" }
        let chosen = selection.chosen.map(\.name).joined(separator: ", ")
        let last = selection.chosen.last?.score.recall ?? selection.student
        return
            "\(chosen.isEmpty ? "none" : chosen): \(Figures.short(selection.student)) → \(Figures.short(last)) nats, "
            + "teacher \(Figures.short(selection.teacher))"
    }

    /// The last value of a step, and its greatest.
    func stepPoint(_ unit: String = "", _ value: (MetricsEvent.Step) -> Double?) -> String {
        let values = steps.compactMap(value).filter(\.isFinite)
        guard let last = values.last, let most = values.max() else { return "" }
        return "\(Figures.short(last))\(unit) at last, \(Figures.short(most)) at most"
    }
}
