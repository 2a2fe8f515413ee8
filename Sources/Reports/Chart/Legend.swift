/// What the signs of a chart stand for.
struct Legend: Sendable {
    enum Sign: Sendable { case line, dashes, dot }

    var entries: [(sign: Sign, role: Series.Role, text: String)]

    var markup: Markup {
        let items: [Markup] = entries.map { entry in
            let sign: Markup =
                switch entry.sign {
                case .line: #"<path class="line \#(entry.role.rawValue)" d="M1 7H21"/>"#
                case .dashes: #"<path class="rule \#(entry.role.rawValue)" d="M1 7H21"/>"#
                case .dot: #"<circle class="dot \#(entry.role.rawValue)" cx="11" cy="7" r="3.5"/>"#
                }
            return #"<li><svg class="sign" viewBox="0 0 22 14" aria-hidden="true">\#(sign)</svg>\#(entry.text)</li>"#
        }
        return #"<ul class="legend">\#(items)</ul>"#
    }
}
