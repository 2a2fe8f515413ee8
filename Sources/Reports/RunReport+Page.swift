import Foundation
import Records
import Support

/// The page: one file, nothing fetched, no script.
extension RunReport {
    func page(refreshing seconds: Int?) -> Markup {
        """
        \(Markup(stringLiteral: Self.head))
        \(seconds.map { #"<meta http-equiv="refresh" content="\#($0)"/>"# as Markup })
        <meta name="viewport" content="width=device-width, initial-scale=1"/>
        <meta name="color-scheme" content="light dark"/>
        <title>\(title)</title>
        <style>\(Self.style)</style>
        </head>
        <body>
        <main>
        \(header)
        \(tiles)
        \(noticeSection)
        \(recallSection)
        \(figures)
        \(stageTable)
        \(conversionSection)
        \(configurationSection)
        </main>
        <footer>Made by <code>moult report</code>\(start.map { ", Moult \($0.version)" } ?? "").</footer>
        </body>
        </html>

        """
    }

    // MARK: Headline

    private var teacherName: String? { start?.teacher?.name }
    var teacherPerplexity: Double? { start?.teacher?.perplexity.flatMap { $0.isFinite && $0 > 0 ? $0 : nil } }
    /// The measurement of the student before its first step.
    private var before: MetricsEvent.Validation? { validations.first.flatMap { $0.step == 0 ? $0 : nil } }
    /// The best measurement of the trained student.
    var best: MetricsEvent.Validation? {
        validations.filter { $0.step > 0 && $0.loss.isFinite }.min { $0.loss < $1.loss }
    }
    private var tokens: Int { steps.last?.tokens ?? 0 }
    private var seconds: Double { stageRuns.reduce(0) { $0 + $1.seconds } }

    private var title: String {
        (conversion?.source ?? teacherName).map { "\($0), made recurrent" } ?? "Training of \(name)"
    }

    private var header: Markup {
        """
        <header>
        <p class="eyebrow">Moult training report · \(name)</p>
        <h1>\(title)</h1>
        <p class="lead">\(summary)</p>
        <p class="facts">\(facts.joined(separator: " · "))</p>
        </header>
        """
    }

    /// The outcome in a sentence or two.
    private var summary: String {
        guard let best else { return "The run has not been measured since training began." }
        var text =
            "After \(Figures.short(Double(best.tokens))) tokens the student's perplexity on text held apart is "
            + Figures.perplexity(best.perplexity)
        if let teacherPerplexity {
            text +=
                ", \(Figures.short(best.perplexity / teacherPerplexity)) times its teacher's "
                + Figures.perplexity(teacherPerplexity)
        }
        text += before.map { "; before this run it was \(Figures.perplexity($0.perplexity))." } ?? "."
        return text
    }

    private var facts: [String] {
        var facts: [String] = []
        if let start {
            facts.append(start.time.formatted(.iso8601.year().month().day()))
            let (all, trained) = (Figures.grouped(start.parameters), Figures.grouped(start.trainedParameters))
            facts.append("\(all) parameters, \(trained) trained")
            facts.append("rows of \(Figures.grouped(start.sequenceLength)) tokens")
            if start.recallShare > 0 { facts.append("\(Figures.short(100 * start.recallShare))% of them recall rows") }
        }
        facts.append(end.map { "\($0.reason) at step \(Figures.grouped($0.step))" } ?? "not ended")
        if let skipped = steps.last?.skipped, skipped > 0 { facts.append("\(Figures.grouped(skipped)) steps skipped") }
        return facts
    }

    private var tiles: Markup {
        var tiles: [(label: String, value: String, detail: String, role: String)] = []
        if let teacherPerplexity {
            tiles.append(("teacher", Figures.perplexity(teacherPerplexity), "perplexity", "teacher"))
        }
        if let before {
            tiles.append(("student, before", Figures.perplexity(before.perplexity), "perplexity", "before"))
        }
        if let best {
            tiles.append(("student, trained", Figures.perplexity(best.perplexity), "perplexity", "student"))
            if let teacherPerplexity {
                let ratio = "\(Figures.short(best.perplexity / teacherPerplexity))×"
                tiles.append(("student to teacher", ratio, "of perplexity", "student"))
            }
        }
        if tokens > 0 {
            tiles.append(("trained on", Figures.short(Double(tokens)), "tokens", ""))
            let rate = seconds > 0 ? "\(Figures.short(Double(tokens) / seconds)) tokens/s" : "of steps"
            tiles.append(("training time", Figures.duration(seconds), rate, ""))
        }
        let items: [Markup] = tiles.map { tile in
            """
            <li class="\(tile.role)"><span class="label">\(tile.label)</span><strong>\(tile.value)</strong>\
            <span class="detail">\(tile.detail)</span></li>

            """
        }
        return items.isEmpty ? "" : "<ul class=\"tiles\">\(items)</ul>"
    }

    // MARK: Figures

    private var figures: Markup {
        """
        <section class="figures">
        \(figure("Quality", perplexityPoint, perplexityChart, .wide, .perplexity(hasTeacher: teacherPerplexity != nil),
            "Perplexity on text that is held apart, measured as training goes on; lower is better."))
        \(figure("Training loss", lossPoint, lossChart, .half, .steps, lossCaption))
        \(figure("Alignment by layer", alignmentPoint, alignmentChart, .half, .alignment,
            "How far each mixer's output is from that of the teacher's attention: squared error over squared output."))
        \(figure("Heads given their attention back", selectionPoint, selectionChart, .half, .selection, selectionCaption))
        \(figure("Perplexity by position", positionPoint, positionChart, .half,
            .comparison(hasTeacher: positions?.teacher != nil),
            "By place in the row, each token predicted from what its document has before it. Most of what helps stands near "
                + "by, so that a student that forgets gets better along the row as its teacher does: what it remembers, "
                + "moult evaluate --tasks recall measures."))
        \(figure("Memory of a sequence", memoryPoint, memoryChart, .half, .comparison(hasTeacher: memory?.teacher != nil)))
        \(figure("Learning rate", stepPoint { $0.learningRate }, learningRateChart, .third))
        \(figure("Gradient norm", stepPoint { $0.gradientNorm }, gradientChart, .third))
        \(figure("Throughput", stepPoint(" tokens/s") { $0.tokensPerSecond }, throughputChart, .third))
        </section>
        """
    }

    /// The share of the page's width that a figure takes.
    private enum Width: String {
        case wide, half, third

        var size: Chart.Size {
            switch self {
            case .wide: .wide
            case .half: .half
            case .third: .third
            }
        }
    }

    /// A chart with its heading and its point in words; nothing when there is no chart. On a narrow screen it is drawn anew,
    /// so that its words can be read.
    private func figure(
        _ heading: String, _ point: String, _ chart: (Chart.Size) -> Chart?, _ width: Width, _ legend: Legend? = nil,
        _ caption: String = ""
    ) -> Markup {
        guard let broad = chart(width.size), var narrow = chart(.narrow) else { return "" }
        // Nothing points at a place there.
        narrow.notes = []
        let text: Markup = caption.isEmpty ? "" : "<figcaption>\(caption)</figcaption>"
        let words: Markup = point.isEmpty ? "" : #"<p class="point">\#(point)</p>"#
        return """
            <figure class="\(width.rawValue)"><h2>\(heading)</h2>\(words)\(text)\(legend?.markup)
            <div class="plot broad">\(broad.svg)</div><div class="plot narrow">\(narrow.svg)</div></figure>
            """
    }

    private var selectionCaption: String {
        let chosen = selections.last.map { $0.chosen.map(\.name).joined(separator: ", ") } ?? ""
        return
            "How surprised the student is by the answer to what it read before, lower is better, when one layer, or one head "
            + "of the layers that help most, has the teacher's attention. Chosen, as layer:head: "
            + (chosen.isEmpty ? "none." : chosen + ".")
    }

    private var lossCaption: String {
        let measures = [
            "align": "align: relative squared error of the mixers",
            "distil":
                "distil: divergence from the teacher (with a teacher_share below 1, from the text too), nats per token",
            "finetune": "finetune: nats per token of text",
        ]
        var known: [String] = []
        for run in stageRuns {
            if let measure = measures[run.stage], !known.contains(measure) { known.append(measure) }
        }
        return known.isEmpty ? "" : known.joined(separator: "; ") + "."
    }

    private var memoryPoint: String {
        guard let memory else { return "" }
        let context = Self.longestContext
        let student = memory.student.bytes(at: context)
        var text =
            memory.student.perToken == 0
            ? "the student needs \(Figures.bytes(student)) whatever the length"
            : "the student needs \(Figures.bytes(student)) for \(Figures.short(context)) tokens"
        if let teacher = memory.teacher?.bytes(at: context) {
            text += "; the teacher \(Figures.bytes(teacher)) for \(Figures.short(context)) tokens"
            if student > 0, teacher > student { text += ", \(Figures.short(teacher / student)) times as much" }
        }
        return text
    }

    // MARK: Tables

    private var stageTable: Markup {
        let runs = stageRuns
        guard !runs.isEmpty else { return "" }
        var before = 0
        let rows: [Markup] = runs.map { run in
            let end = run.steps.map(\.tokens).max() ?? before
            let tokens = max(0, end - before)
            before = max(before, end)
            let stage = start?.stages.first { $0.name == run.stage }
            let rows = stage.map { stage in
                Figures.grouped(stage.sequences) + (stage.length.map { " × \(Figures.grouped($0)) tokens" } ?? "")
            }
            let speed = run.seconds > 0 ? Figures.short(Double(tokens) / run.seconds) : "–"
            return """
                <tr><th scope="row">\(run.stage)</th><td>\(Figures.grouped(tokens))</td>\
                <td>\(Figures.grouped(run.steps.count))</td><td>\(rows ?? "–")</td>\
                <td>\(Figures.short(run.steps.first?.loss ?? .nan))</td>\
                <td>\(Figures.short(run.steps.last?.loss ?? .nan))</td>\
                <td>\(Figures.duration(run.seconds))</td><td>\(speed)</td></tr>

                """
        }
        return """
            <section class="card"><h2>Stages</h2><div class="plot"><table>
            <thead><tr><th scope="col">stage</th><th scope="col">tokens</th><th scope="col">steps</th>\
            <th scope="col">rows a step</th><th scope="col">first loss</th><th scope="col">last loss</th>\
            <th scope="col">time</th><th scope="col">tokens/s</th></tr></thead>
            <tbody>\(rows)</tbody></table></div></section>
            """
    }

    private var conversionSection: Markup {
        guard let conversion, !conversion.parts.isEmpty else { return "" }
        let parts = conversion.parts.filter { $0.name != "dropped" }
        let bars: [Markup] = parts.map {
            """
            <rect class="part-\($0.name)" x="\(offset(of: $0, in: parts))" y="0" width="\(9.6 * $0.percent)" height="14"/>
            """
        }
        let rows: [Markup] = conversion.parts.map { part in
            """
            <tr><th scope="row"><span class="key part-\(part.name)">■</span> \(part.name)</th>\
            <td>\(String(format: "%.2f%%", part.percent)) of the \(part.name == "dropped" ? "source" : "student")</td>\
            <td>\(Figures.grouped(part.tensors))</td><td>\(Figures.grouped(part.parameters))</td></tr>

            """
        }
        let mixers = conversion.mixers.map { "\(Figures.grouped($0.layers)) \($0.name)" }.joined(separator: ", ")
        let origin = (conversion.source.map { ["From \($0)"] } ?? []) + (mixers.isEmpty ? [] : ["layers: \(mixers)"])
        return """
            <section class="card"><h2>Conversion</h2><p class="caption">\(origin.joined(separator: "; ")).</p>
            <svg viewBox="0 0 960 14" preserveAspectRatio="none" class="share" aria-hidden="true">\(bars)</svg>
            <div class="plot"><table><thead><tr><th scope="col">kind</th><th scope="col">share</th>\
            <th scope="col">tensors</th><th scope="col">parameters</th></tr></thead><tbody>\(rows)</tbody></table></div>
            </section>
            """
    }

    /// Where a part of the bar begins.
    private func offset(of part: ConversionSummary.Part, in parts: [ConversionSummary.Part]) -> Double {
        parts.prefix { $0.name != part.name }.reduce(0) { $0 + 9.6 * $1.percent }
    }

    private var configurationSection: Markup {
        guard let configuration else { return "" }
        return """
            <section class="card"><h2>Configuration</h2><p class="caption">config.yaml of the run</p>
            <pre>\(configuration)</pre></section>
            """
    }
}

extension Legend {
    fileprivate static func perplexity(hasTeacher: Bool) -> Legend {
        Legend(
            entries: [(.line, .student, "student")]
                + (hasTeacher ? [(.dashes, .teacher, "teacher, softmax attention")] : []))
    }

    fileprivate static let steps = Legend(
        entries: [(.line, .student, "moving average; faint, every step")])

    fileprivate static let alignment = Legend(
        entries: [(.dot, .before, "first measured"), (.dot, .student, "last measured")])

    fileprivate static let selection = Legend(
        entries: [(.line, .teacher, "teacher"), (.dot, .student, "a layer"), (.dot, .before, "one head")])

    fileprivate static func comparison(hasTeacher: Bool) -> Legend {
        Legend(
            entries: (hasTeacher ? [(.line, .teacher, "teacher")] : []) + [(.line, .student, "student")])
    }
}
