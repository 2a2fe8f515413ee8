import Foundation
import Records
import Support

/// Charts against the tokens trained on.
extension RunReport {
    /// Neighbouring steps of one stage.
    struct StageRun: Sendable {
        var stage: String
        var steps: [MetricsEvent.Step]
        var seconds: Double { steps.reduce(0) { $0 + ($1.seconds.isFinite ? $1.seconds : 0) } }
    }

    var stageRuns: [StageRun] {
        steps.reduce(into: []) { runs, step in
            if runs.last?.stage == step.stage {
                runs[runs.count - 1].steps.append(step)
            } else {
                runs.append(StageRun(stage: step.stage, steps: [step]))
            }
        }
    }

    private var bands: [Chart.Band] {
        var start = 0.0
        return stageRuns.compactMap { run in
            let end = Double(run.steps.map(\.tokens).max() ?? 0)
            guard end > start else { return nil }
            defer { start = end }
            return Chart.Band(range: start...end, label: run.stage)
        }
    }

    private func tokenAxis(_ size: Chart.Size) -> Axis? {
        let tokens = steps.map(\.tokens) + validations.map(\.tokens)
        guard let last = tokens.max(), last > 0 else { return nil }
        return Axis(
            "tokens", values: [0, Double(last)], scale: .linear, length: Chart.plot(size).width, isHorizontal: true)
    }

    /// Validation perplexity, with the teacher's as a dashed line.
    func perplexityChart(_ size: Chart.Size) -> Chart? {
        let points = validations.map { Series.Point(x: Double($0.tokens), y: $0.perplexity) }
        let series = Series("student", .student, points.count > 60 ? .line : .dotted, points)
        let rule = teacherPerplexity.map {
            Chart.Rule(value: $0, label: "teacher \(Figures.perplexity($0))")
        }
        guard series.points.count > 1, let x = tokenAxis(size),
            let y = Axis(
                "validation perplexity", values: series.points.map(\.y) + (rule.map { [$0.value] } ?? []),
                length: Chart.plot(size).height, isHorizontal: false)
        else { return nil }
        var chart = Chart(summary: "Validation perplexity against tokens", size: size, x: x, y: y)
        (chart.bands, chart.rules, chart.series) = (bands, rule.map { [$0] } ?? [], [series])
        chart.marked = best.map { best in
            (Series.Point(x: Double(best.tokens), y: best.perplexity), "best \(Figures.perplexity(best.perplexity))")
        }
        chart.notes = validations.filter { $0.perplexity.isFinite }.map { validation in
            Chart.Note(
                x: Double(validation.tokens), values: [(.student, validation.perplexity)],
                lines: [
                    "perplexity \(Figures.perplexity(validation.perplexity))"
                        + (teacherPerplexity.map { ", \(Figures.short(validation.perplexity / $0))× the teacher's" }
                            ?? ""),
                    "\(Figures.short(Double(validation.tokens))) tokens, step \(Figures.grouped(validation.step))",
                ])
        }
        return chart
    }

    /// The loss of every step; a stage has its own measure, so the line has a gap between stages.
    func lossChart(_ size: Chart.Size) -> Chart? {
        curve("loss", isTitled: true, size: size, isSmoothed: true) { $0.loss }
    }

    func learningRateChart(_ size: Chart.Size) -> Chart? {
        curve("learning rate", size: size, scale: .linear) { $0.learningRate }
    }

    func gradientChart(_ size: Chart.Size) -> Chart? {
        curve("gradient norm", size: size, isSmoothed: true) { $0.gradientNorm }
    }

    func throughputChart(_ size: Chart.Size) -> Chart? {
        curve("tokens per second", size: size, scale: .linear, isSmoothed: true, from: [0]) { $0.tokensPerSecond }
    }

    /// A chart of one value of every step.
    /// - Parameters:
    ///   - isTitled: Whether the title stands above the axis, because the figure's heading says something else.
    ///   - values: More that the axis must show.
    private func curve(
        _ title: String, isTitled: Bool = false, size: Chart.Size, scale: Axis.Scale? = nil, isSmoothed: Bool = false,
        from values: [Double] = [], _ value: (MetricsEvent.Step) -> Double?
    ) -> Chart? {
        let segments = stageRuns.map { run in
            run.steps.compactMap { step in value(step).map { Series.Point(x: Double(step.tokens), y: $0) } }
        }
        let series = Series("student", .student, isSmoothed ? .smoothed : .line, segments: segments)
        let bins = series.bins().flatMap { $0 }
        guard bins.count > 1, let x = tokenAxis(size),
            let y = Axis(
                isTitled ? title : "", values: bins.flatMap { [$0.low, $0.high] } + values, scale: scale,
                length: Chart.plot(size).height, isHorizontal: false)
        else { return nil }
        var chart = Chart(summary: "\(title) against tokens", size: size, x: x, y: y)
        (chart.bands, chart.series) = (bands, [series])
        chart.notes = bins.map { bin in
            Chart.Note(
                x: bin.mean.x, values: [(.student, bin.mean.y)],
                lines: ["\(title) \(Figures.short(bin.mean.y))", "\(Figures.short(bin.mean.x)) tokens"])
        }
        return chart
    }
}
