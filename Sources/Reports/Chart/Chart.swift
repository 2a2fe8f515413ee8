/// A chart: axes, shaded bands, dashed rules, series, and what is shown of the point under the pointer. Written as SVG
/// in classes that the page's style colours, so that it follows the light and the dark scheme and prints.
struct Chart: Sendable {
    /// A part of the horizontal axis.
    struct Band: Sendable {
        var range: ClosedRange<Double>
        var label: String
    }

    /// A dashed line at a value.
    struct Rule: Sendable {
        var value: Double
        var label: String
    }

    /// What the pointer shows at a place of the horizontal axis.
    struct Note: Sendable {
        var x: Double
        /// The values that get a dot.
        var values: [(role: Series.Role, y: Double)]
        var lines: [String]
    }

    struct Size: Sendable {
        var width: Double
        var height: Double
        static let wide = Size(width: 960, height: 316)
        static let half = Size(width: 470, height: 286)
        static let third = Size(width: 310, height: 190)
        /// As wide as a telephone's screen leaves room for, so that the drawing is not scaled.
        static let narrow = Size(width: 326, height: 230)
    }

    /// What the chart shows, for those who cannot see it.
    var summary: String
    var size: Size
    var x: Axis
    var y: Axis
    var bands: [Band] = []
    var rules: [Rule] = []
    var series: [Series] = []
    /// Pairs of values joined by a line upright: (x, from, to).
    var links: [(x: Double, from: Double, to: Double)] = []
    /// A point with its value written beside it.
    var marked: (point: Series.Point, label: String)?
    var notes: [Note] = []

    /// The lengths of the axes of a chart of `size`; the upright one is longer without a title or bands above it.
    static func plot(_ size: Size) -> Size { Size(width: size.width - 78, height: size.height - 86) }

    private var left: Double { 62 }
    private var right: Double { left + Self.plot(size).width }
    private var top: Double { 8 + (y.title.isEmpty ? 0 : 18) + (bands.isEmpty ? 0 : 16) }
    private var bottom: Double { size.height - 44 }

    private func place(x value: Double) -> Double { left + x.position(value) * (right - left) }
    private func place(y value: Double) -> Double { bottom - y.position(value) * (bottom - top) }

    var svg: Markup {
        """
        <svg viewBox="0 0 \(size.width) \(size.height)" role="img" aria-label="\(summary)">
        \(bandMarkup)\(axisMarkup)\(ruleMarkup)\(linkMarkup)\(series.map(markup))\(markedMarkup)\(noteMarkup)
        </svg>
        """
    }

    private func text(_ text: String, x: Double, y: Double, anchor: String, style: String = "label") -> Markup {
        #"<text class="\#(style)" x="\#(x)" y="\#(y)" text-anchor="\#(anchor)">\#(text)</text>"#
    }

    // MARK: Frame

    private var axisMarkup: [Markup] {
        let horizontal: [Markup] = x.ticks.map { tick in
            text(tick.label, x: place(x: tick.value), y: bottom + 18, anchor: "middle")
        }
        let vertical: [Markup] = y.ticks.map { tick in
            let place = place(y: tick.value)
            return """
                <line class="grid" x1="\(left)" x2="\(right)" y1="\(place)" y2="\(place)"/>
                \(text(tick.label, x: left - 8, y: place + 4, anchor: "end"))
                """
        }
        return vertical + horizontal + [
            """
            <line class="base" x1="\(left)" x2="\(right)" y1="\(bottom)" y2="\(bottom)"/>
            \(text(x.title, x: (left + right) / 2, y: size.height - 6, anchor: "middle"))
            \(text(y.title, x: left - 54, y: 13, anchor: "start"))
            """
        ]
    }

    private var bandMarkup: [Markup] {
        bands.enumerated().map { index, band in
            let (start, end) = (place(x: band.range.lowerBound), place(x: band.range.upperBound))
            // A label wider than its band would run into the next.
            let isLabelled = end - start >= Axis.labelWidth(band.label)
            let label: Markup = isLabelled ? text(band.label, x: end - 6, y: top - 6, anchor: "end") : ""
            return """
                <rect class="band-\(index % 3)" x="\(start)" y="\(top)" width="\(end - start)" height="\(bottom - top)">\
                <title>\(band.label)</title></rect>\(label)
                """
        }
    }

    private var ruleMarkup: [Markup] {
        rules.filter { y.domain.contains($0.value) }.map { rule in
            let place = place(y: rule.value)
            return """
                <line class="rule teacher" x1="\(left)" x2="\(right)" y1="\(place)" y2="\(place)"/>
                \(text(rule.label, x: left + 8, y: place - 6, anchor: "start", style: "rule-label"))
                """
        }
    }

    // MARK: Series

    private func markup(_ series: Series) -> Markup {
        switch series.style {
        case .line: return "\(series.bins().map { line($0.map(\.mean), "line \(series.role.rawValue)") })"
        case .dotted:
            return "\(series.segments.map { line($0, "line \(series.role.rawValue)") })\(dots(series))"
        case .dots: return dots(series)
        case .smoothed:
            let bins = series.bins()
            let count = bins.reduce(0) { $0 + $1.count }
            // From the lowest to the highest of each bin and on to the next: a line where every bin is one value,
            // and the range of the values where it is many.
            let ranges = bins.map { segment in
                line(
                    segment.flatMap {
                        [Series.Point(x: $0.mean.x, y: $0.low), Series.Point(x: $0.mean.x, y: $0.high)]
                    },
                    "every \(series.role.rawValue)")
            }
            let means = bins.map { segment in
                line(
                    Series.smoothed(segment.map(\.mean), reach: max(1, count / 60)), "line \(series.role.rawValue)")
            }
            return "\(ranges)\(means)"
        }
    }

    private func line(_ points: [Series.Point], _ style: String) -> Markup {
        let path: [Markup] = points.enumerated().map { index, point in
            #"\#(index == 0 ? "M" : "L")\#(place(x: point.x)) \#(place(y: point.y))"#
        }
        return #"<path class="\#(style)" d="\#(path)"/>"#
    }

    private func dots(_ series: Series) -> Markup {
        let dots = series.points.map { dot($0, series.role) }
        return "\(dots)"
    }

    private func dot(_ point: Series.Point, _ role: Series.Role) -> Markup {
        #"<circle class="dot \#(role.rawValue)" cx="\#(place(x: point.x))" cy="\#(place(y: point.y))" r="3.5"/>"#
    }

    private var linkMarkup: [Markup] {
        links.map { link in
            """
            <line class="link" x1="\(place(x: link.x))" x2="\(place(x: link.x))" y1="\(place(y: link.from))" \
            y2="\(place(y: link.to))"/>
            """
        }
    }

    private var markedMarkup: Markup? {
        marked.map { marked in
            let (x, y) = (place(x: marked.point.x), place(y: marked.point.y))
            return """
                <circle class="marked" cx="\(x)" cy="\(y)" r="5"/>
                \(text(marked.label, x: min(x, right - 4), y: y - 12, anchor: "end", style: "marked-label"))
                """
        }
    }

    // MARK: Notes

    /// A column of the plot for each note, as wide as half the way to its neighbours, that shows it under the pointer.
    private var noteMarkup: [Markup] {
        let places = notes.map { place(x: $0.x) }
        return notes.enumerated().map { index, note in
            let place = places[index]
            let start = index > 0 ? (places[index - 1] + place) / 2 : left
            let end = index + 1 < places.count ? (place + places[index + 1]) / 2 : right
            let isLeft = place < (left + right) / 2
            let dots = note.values.map { dot(Series.Point(x: note.x, y: $0.y), $0.role) }
            let lines: [Markup] = note.lines.enumerated().map { row, text in
                #"<tspan x="\#(place + (isLeft ? 9 : -9))" y="\#(top + 15 + 15 * Double(row))">\#(text)</tspan>"#
            }
            return """
                <g class="note"><rect x="\(start)" y="\(top)" width="\(max(0, end - start))" height="\(bottom - top)"/>\
                <g class="shown"><line x1="\(place)" x2="\(place)" y1="\(top)" y2="\(bottom)"/>\(dots)\
                <text text-anchor="\(isLeft ? "start" : "end")">\(lines)</text></g></g>

                """
        }
    }
}
