import Foundation
import Support

/// An axis of a chart: which values it shows, where they lie, and ticks at round values whose labels do not overlap.
package struct Axis: Sendable {
    package enum Scale: Sendable { case linear, logarithmic }

    package struct Tick: Sendable, Equatable {
        package var value: Double
        package var label: String
    }

    package let title: String
    package let scale: Scale
    package let domain: ClosedRange<Double>
    package private(set) var ticks: [Tick]

    /// What a label and the space beside it take, in the units of the drawing.
    package static let labelHeight = 30.0
    package static func labelWidth(_ label: String) -> Double { 7 * Double(label.count) + 14 }

    /// An axis on which all of `values` can be seen.
    /// - Parameters:
    ///   - scale: Nil for logarithmic when the values are positive and span more than a factor of 20.
    ///   - length: The axis in the units of the drawing.
    ///   - isHorizontal: Whether labels lie beside each other; the axis then ends at the last value rather than
    ///     at a tick, unless it would have none.
    ///   - format: The label of a value.
    /// - Returns: nil when no value is finite.
    package init?(
        _ title: String, values: [Double], scale: Scale? = nil, length: Double, isHorizontal: Bool,
        format: (Double) -> String = { Figures.short($0, digits: 6) }
    ) {
        // Beyond these the steps between ticks would not be numbers.
        let finite = values.filter { $0.magnitude < 1e100 }
        guard var low = finite.min(), var high = finite.max() else { return nil }
        self.title = title
        self.scale = scale == .linear || low < 1e-100 || (scale == nil && high / low < 20) ? .linear : .logarithmic
        // Closer together than labels can tell apart: as if there were one value.
        if high - low <= 5e-4 * max(high.magnitude, low.magnitude, 1e-90) {
            let margin = max(high.magnitude / 10, 1e-6)
            (low, high) = (self.scale == .logarithmic ? low / 2 : low - margin, high + margin)
        }
        func fits(_ ticks: [Tick]) -> Bool {
            let needed = ticks.map { isHorizontal ? Self.labelWidth($0.label) : Self.labelHeight }.max() ?? 0
            return Double(ticks.count) * needed <= length
        }
        let rounds = self.scale == .linear ? Self.linearSteps(low...high) : Self.logarithmicSteps(low...high)
        let choices = rounds.map { $0.map { Tick(value: $0, label: format($0)) } }
        // The last choice is the sparsest.
        let chosen = choices.first(where: fits) ?? choices.last ?? []
        if isHorizontal, chosen.contains(where: { (low...high).contains($0.value) }) {
            domain = low...high
        } else {
            domain = min(low, chosen.first?.value ?? low)...max(high, chosen.last?.value ?? high)
        }
        ticks = chosen.filter { [domain] in domain.contains($0.value) }
    }

    /// An axis of things rather than numbers: the first lies at 0, the next at 1.
    package init(_ title: String, categories: [String], length: Double) {
        self.title = title
        scale = .linear
        domain = -0.5...max(0.5, Double(categories.count) - 0.5)
        let widest = categories.map(Self.labelWidth).max() ?? 0
        let interval = max(1, Int((widest * Double(categories.count) / max(1, length)).rounded(.up)))
        ticks = categories.enumerated().filter { $0.offset % interval == 0 }.map {
            Tick(value: Double($0.offset), label: $0.element)
        }
    }

    /// Where `value` lies: 0 at the axis' beginning, 1 at its end.
    package func position(_ value: Double) -> Double {
        switch scale {
        case .linear: (value - domain.lowerBound) / (domain.upperBound - domain.lowerBound)
        case .logarithmic: log(value / domain.lowerBound) / log(domain.upperBound / domain.lowerBound)
        }
    }

    // MARK: Round values

    /// Multiples of 1, 2 and 5 times powers of ten that enclose `range`, from close to far.
    private static func linearSteps(_ range: ClosedRange<Double>) -> [[Double]] {
        let span = range.upperBound - range.lowerBound
        let first = pow(10, floor(log10(span / 20)))
        return (0..<3).flatMap { decade in [1.0, 2, 5].map { $0 * first * pow(10, Double(decade)) } }.map { step in
            let start = floor(range.lowerBound / step + 1e-9)
            let count = Int((ceil(range.upperBound / step - 1e-9) - start).rounded())
            // Divided rather than multiplied where the step is a fraction: 3 / 10 is the nearest to 0.3, 3 * 0.1 is not.
            let inverse = (1 / step).rounded()
            return (0...max(1, count)).map { index in
                let multiple = start + Double(index)
                return step < 1 && inverse.isFinite ? multiple / inverse : multiple * step
            }
        }
    }

    /// 1, 2 and 5 times powers of ten that enclose `range`; 1 and 3 times; powers alone; every second; …
    private static func logarithmicSteps(_ range: ClosedRange<Double>) -> [[Double]] {
        let decades = Int(floor(log10(range.lowerBound)))...Int(ceil(log10(range.upperBound)))
        let all = decades.flatMap { decade in [1.0, 2, 5].map { $0 * pow(10, Double(decade)) } }
        let start = all.lastIndex { $0 <= range.lowerBound } ?? 0
        let end = all.firstIndex { $0 >= range.upperBound } ?? all.count - 1
        let enclosed = all[start]...max(all[start], all[end])
        let thirds = decades.flatMap { [pow(10, Double($0)), 3 * pow(10, Double($0))] }
        let sparser = (1...max(1, decades.count)).map { interval in
            stride(from: decades.lowerBound, through: decades.upperBound, by: interval).map { pow(10, Double($0)) }
        }
        return ([all, thirds] + sparser).map { $0.filter(enclosed.contains) }
    }
}
