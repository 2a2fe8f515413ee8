/// Values that a chart draws in one colour.
struct Series: Sendable {
    struct Point: Sendable, Equatable {
        var x: Double
        var y: Double
    }

    /// The role, which gives the colour: the same on all charts.
    enum Role: String, Sendable { case teacher, student, before }
    enum Style: Sendable {
        /// A line through the points, thinned when they are many.
        case line
        /// A line through a moving average, over a faint one through every value.
        case smoothed
        /// A line with a dot at each point.
        case dotted
        /// Dots alone: rings for what was before.
        case dots
    }

    var name: String
    var role: Role
    var style: Style
    /// Points from left to right; the line has a gap between segments.
    var segments: [[Point]]

    init(_ name: String, _ role: Role, _ style: Style, segments: [[Point]]) {
        (self.name, self.role, self.style) = (name, role, style)
        // A chart cannot show what is not a number; beyond 1e100 it would not have an axis.
        self.segments = segments.map { $0.filter { $0.x.magnitude < 1e100 && $0.y.magnitude < 1e100 } }
            .filter { !$0.isEmpty }
    }

    init(_ name: String, _ role: Role, _ style: Style, _ points: [Point]) {
        self.init(name, role, style, segments: [points])
    }

    var points: [Point] { segments.flatMap { $0 } }

    /// Points that stand for a group of neighbours: their mean, and their lowest and highest value.
    struct Bin: Sendable {
        var mean: Point
        var low: Double
        var high: Double
    }

    /// At most about `limit` bins in all, so that a run of a million steps makes no larger page than one of a thousand.
    func bins(limit: Int = 240) -> [[Bin]] {
        let size = max(1, (points.count + limit - 1) / limit)
        return segments.map { segment in
            stride(from: 0, to: segment.count, by: size).map { start in
                let group = segment[start..<min(start + size, segment.count)]
                let count = Double(group.count)
                let mean = Point(
                    x: group.reduce(0) { $0 + $1.x / count }, y: group.reduce(0) { $0 + $1.y / count })
                let values = group.map(\.y)
                return Bin(mean: mean, low: values.min() ?? mean.y, high: values.max() ?? mean.y)
            }
        }
    }

    /// The mean of each point and its neighbours, as many on both sides.
    static func smoothed(_ points: [Point], reach: Int) -> [Point] {
        points.indices.map { index in
            let distance = min(reach, index, points.count - 1 - index)
            let group = points[index - distance...index + distance]
            return Point(x: points[index].x, y: group.reduce(0) { $0 + $1.y / Double(group.count) })
        }
    }
}
