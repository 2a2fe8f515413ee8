import Records
import Support

/// What the student remembers.
extension RunReport {
    /// The last answers of which the numbers are numbers.
    var lastRecall: MetricsEvent.Recall? {
        recalls.last { recall in !recall.answers.isEmpty && recall.answers.allSatisfy(\.student.isFinite) }
    }

    /// "45%".
    static func share(_ share: Double?) -> String {
        share.flatMap { $0.isFinite ? "\(Figures.short(100 * $0, digits: 2))%" : nil } ?? "–"
    }

    /// A row for each distance at which facts are asked for.
    var recallSection: Markup {
        guard let last = lastRecall else { return "" }
        let first = recalls.first { $0.step < last.step }
        let rows: [Markup] = last.answers.map { answers in
            let before = first?.answers.first { $0.length == answers.length }?.student
            return """
                <tr><th scope="row">finds a fact up to \(Figures.grouped(answers.length)) tokens back</th>\
                <td>\(Self.share(before))</td><td class="student">\(Self.share(answers.student))</td>\
                <td class="teacher">\(Self.share(answers.teacher))</td><td>\(Self.share(last.chance))</td></tr>

                """
        }
        let questions = last.answers.map(\.questions).max() ?? 0
        return """
            <section class="card facts-found"><h2>Recall</h2><p class="caption">Of \(questions) questions each about a list of names with \
            their codes, after step \(Figures.grouped(last.step)).</p>
            <div class="plot"><table><thead><tr><th scope="col"></th><th scope="col">before</th><th scope="col">student</th>\
            <th scope="col">teacher</th><th scope="col">chance</th></tr></thead><tbody>\(rows)</tbody></table></div></section>
            """
    }

    /// What the run has said of itself.
    var noticeSection: Markup {
        guard !notices.isEmpty else { return "" }
        let items: [Markup] = notices.map { #"<li>\#($0.stage), step \#(Figures.grouped($0.step)): \#($0.text)</li>"# }
        return #"<section class="card"><h2>Notices</h2><ul class="notices">\#(items)</ul></section>"#
    }
}
