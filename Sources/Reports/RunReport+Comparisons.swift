import Foundation
import Models
import Records
import Support

/// Charts of the student beside its teacher, or beside what it was.
extension RunReport {
    /// Alignment error of each layer, at first and at last.
    func alignmentChart(_ size: Chart.Size) -> Chart? {
        guard let last = alignments.last else { return nil }
        let layers = alignmentErrors
        let values = layers.flatMap { [$0.first, $0.last] }.compactMap { $0 }
        guard !layers.isEmpty,
            let y = Axis("relative error", values: values, length: Chart.plot(size).height, isHorizontal: false)
        else { return nil }
        var chart = Chart(
            summary: "Alignment error of each layer", size: size,
            x: Axis("layer", categories: last.layers.indices.map(String.init), length: Chart.plot(size).width), y: y)
        chart.series = [
            Series(
                "first", .before, .dots,
                layers.compactMap { layer in layer.first.map { Series.Point(x: Double(layer.index), y: $0) } }),
            Series("last", .student, .dots, layers.map { Series.Point(x: Double($0.index), y: $0.last) }),
        ]
        chart.links = layers.compactMap { layer in layer.first.map { (Double(layer.index), $0, layer.last) } }
        chart.notes = layers.map { layer in
            Chart.Note(
                x: Double(layer.index), values: [],
                lines: [
                    "layer \(layer.index)",
                    (layer.first.map { "\(Figures.short($0)) → " } ?? "") + Figures.short(layer.last),
                ])
        }
        return chart
    }

    /// Each aligned layer with its first error, when there is more than one, and its last. Layers that are aligned in
    /// turn have theirs at different steps.
    var alignmentErrors: [(index: Int, first: Double?, last: Double)] {
        let count = alignments.map(\.layers.count).max() ?? 0
        return (0..<count).compactMap { index in
            let errors = alignments.compactMap { $0.layers.indices.contains(index) ? $0.layers[index] : nil }
                .filter { $0.magnitude < 1e100 }
            guard let last = errors.last else { return nil }
            return (index, errors.count > 1 ? errors.first : nil, last)
        }
    }

    /// What the first choice of the last selection tried: recall with each layer, and with heads of the best.
    func selectionChart(_ size: Chart.Size) -> Chart? {
        guard let selection = selections.last, let trials = selection.rounds.first else { return nil }
        let layers = trials.filter { $0.head == nil }, heads = trials.filter { $0.head != nil }
        let values = trials.map(\.score.recall).filter { $0.magnitude < 1e100 }
        let ends = [selection.teacher, selection.student].filter { $0.magnitude < 1e100 }
        guard let most = layers.map(\.layer).max(), most < 1 << 16,
            let y = Axis(
                "nats of an answer", values: values + ends, length: Chart.plot(size).height, isHorizontal: false)
        else { return nil }
        var chart = Chart(
            summary: "Recall with one layer's attention given back", size: size,
            x: Axis("layer", categories: (0...most).map(String.init), length: Chart.plot(size).width), y: y)
        func points(_ trials: [HeadTrial]) -> [Series.Point] {
            trials.filter { $0.score.recall.magnitude < 1e100 }.map {
                Series.Point(x: Double($0.layer), y: $0.score.recall)
            }
        }
        func line(_ value: Double) -> [Series.Point] {
            value.magnitude < 1e100 ? [0, most].map { Series.Point(x: Double($0), y: value) } : []
        }
        chart.series = [
            Series("teacher", .teacher, .line, line(selection.teacher)),
            Series("a layer", .student, .dots, points(layers)), Series("one head", .before, .dots, points(heads)),
        ]
        chart.notes = layers.map { layer in
            let own = heads.filter { $0.layer == layer.layer }.map {
                "head \($0.name): \(Figures.short($0.score.recall))"
            }
            return Chart.Note(
                x: Double(layer.layer), values: [],
                lines: ["layer \(layer.layer): \(Figures.short(layer.score.recall))"] + own
                    + (layer.score.divergence.map { ["distance \(Figures.short($0))"] } ?? []))
        }
        return chart
    }

    /// Perplexity by position in the row, the teacher's beside the student's.
    func positionChart(_ size: Chart.Size) -> Chart? {
        guard let positions else { return nil }
        func series(_ name: String, _ role: Series.Role, _ values: [Double]) -> Series {
            Series(name, role, .dotted, values.enumerated().map { Series.Point(x: Double($0.offset), y: $0.element) })
        }
        let series =
            (positions.teacher.map { [series("teacher", .teacher, $0)] } ?? [])
            + [series("student", .student, positions.student)]
        let values = series.flatMap { $0.points.map(\.y) }
        guard let y = Axis("perplexity", values: values, length: Chart.plot(size).height, isHorizontal: false) else {
            return nil
        }
        let x = Axis(
            "from position", categories: positions.ranges.map { Figures.grouped($0.lowerBound) },
            length: Chart.plot(size).width)
        var chart = Chart(summary: "Perplexity by position in the row", size: size, x: x, y: y)
        chart.series = series
        chart.notes = positions.ranges.enumerated().map { index, range in
            let (teacher, student) = (positions.teacher?[index], positions.student[index])
            return Chart.Note(
                x: Double(index), values: [],
                lines: ["positions \(Figures.grouped(range.lowerBound)) to \(Figures.grouped(range.upperBound - 1))"]
                    + (teacher.map { ["teacher \(Figures.perplexity($0))"] } ?? [])
                    + ["student \(Figures.perplexity(student))"])
        }
        return chart
    }

    /// The longest context that the memory chart shows, in tokens.
    static let longestContext = 100_000.0

    /// The memory of one sequence against its length.
    func memoryChart(_ size: Chart.Size) -> Chart? {
        guard let memory else { return nil }
        // Twelve points a decade from 100 tokens on: the lines bend, as both axes are logarithmic.
        let contexts = (0...36).map { 100 * pow(10, Double($0) / 12) }
        func series(_ name: String, _ role: Series.Role, _ cost: StateCost) -> Series {
            Series(name, role, .line, contexts.map { Series.Point(x: $0, y: cost.bytes(at: $0)) })
        }
        let series =
            (memory.teacher.map { [series("teacher", .teacher, $0)] } ?? [])
            + [series("student", .student, memory.student)]
        guard
            let x = Axis(
                "tokens of context", values: contexts, scale: .logarithmic, length: Chart.plot(size).width,
                isHorizontal: true),
            let y = Axis(
                "memory of a sequence", values: series.flatMap { $0.points.map(\.y) }, scale: .logarithmic,
                length: Chart.plot(size).height, isHorizontal: false, format: { Figures.bytes($0) })
        else { return nil }
        var chart = Chart(summary: "Memory of a sequence against its length", size: size, x: x, y: y)
        chart.series = series
        chart.notes = contexts.map { context in
            Chart.Note(
                x: context,
                values: (memory.teacher.map { [(.teacher, $0.bytes(at: context))] } ?? [])
                    + [(.student, memory.student.bytes(at: context))],
                lines: ["\(Figures.short(context)) tokens"]
                    + (memory.teacher.map { ["teacher \(Figures.bytes($0.bytes(at: context)))"] } ?? [])
                    + ["student \(Figures.bytes(memory.student.bytes(at: context)))"])
        }
        return chart
    }
}

extension StateCost {
    /// Bytes of a sequence of so many tokens; not an integer, because a file may give any counts.
    func bytes(at tokens: Double) -> Double { Double(constant) + Double(perToken) * tokens }
}
