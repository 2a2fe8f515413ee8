import Foundation
import Reports
import Support
import Testing

@Suite("Axes")
struct AxisTests {
    private func labels(
        _ values: [Double], scale: Axis.Scale? = nil, length: Double = 400, isHorizontal: Bool = true
    ) throws -> [String] {
        try #require(Axis("", values: values, scale: scale, length: length, isHorizontal: isHorizontal)).ticks.map(
            \.label)
    }

    @Test func ticks() throws {
        #expect(try labels([0, 1_331_200]) == ["0", "200k", "400k", "600k", "800k", "1M", "1.2M"])
        #expect(try labels([0, 10], length: 120) == ["0", "5", "10"])
        #expect(try labels([19.76, 48.1], length: 220, isHorizontal: false) == ["10", "20", "30", "40", "50"])
        #expect(try labels([0.1, 0.72], length: 220, isHorizontal: false) == ["0", "0.2", "0.4", "0.6", "0.8"])
        #expect(try labels([-1, 1], length: 220, isHorizontal: false) == ["-1", "-0.5", "0", "0.5", "1"])
        #expect(
            try labels([33, 7056], length: 300, isHorizontal: false)
                == ["20", "50", "100", "200", "500", "1000", "2000", "5000", "10k"])
        #expect(
            try labels([33, 7056], length: 200, isHorizontal: false) == ["30", "100", "300", "1000", "3000", "10k"])
        #expect(
            try labels([0, 3e-5], length: 220, isHorizontal: false) == [
                "0", "5e-6", "1e-5", "1.5e-5", "2e-5", "2.5e-5", "3e-5",
            ])
    }

    @Test("the scale is logarithmic when positive values span more than a factor of 20")
    func scale() throws {
        func scale(_ values: [Double]) -> Axis.Scale? {
            Axis("", values: values, length: 300, isHorizontal: false)?.scale
        }
        #expect(scale([20, 390]) == .linear)
        #expect(scale([20, 410]) == .logarithmic)
        #expect(scale([0, 410]) == .linear)
        #expect(scale([-1, 410]) == .linear)
        #expect(scale([]) == nil)
        #expect(scale([.nan, .infinity, -.infinity, 1e200]) == nil)
        #expect(scale([.nan, 1]) == .linear)
    }

    /// Ranges of every size, on axes of every length.
    @Test("ticks are round, ascending and apart, and every value is on the axis")
    func properties() throws {
        var random = SplitMix64(seed: 7)
        for _ in 0..<1000 {
            let magnitude = pow(10, Double.random(in: -12...12, using: &random))
            let low = Double.random(in: -1...1, using: &random) * magnitude
            let high = low + pow(10, Double.random(in: -6...3, using: &random)) * magnitude
            let length = Double.random(in: 120...900, using: &random)
            for isHorizontal in [true, false] {
                let axis = try #require(Axis("", values: [high, low], length: length, isHorizontal: isHorizontal))
                #expect(axis.domain.contains(low) && axis.domain.contains(high))
                #expect(
                    axis.position(axis.domain.lowerBound) == 0 && abs(axis.position(axis.domain.upperBound) - 1) < 1e-9)
                #expect(!axis.ticks.isEmpty && Set(axis.ticks.map(\.label)).count == axis.ticks.count, "\(low) \(high)")
                for tick in axis.ticks {
                    #expect(axis.domain.contains(tick.value))
                    #expect(
                        abs(try #require(value(of: tick.label)) - tick.value) <= 1e-5
                            * max(high.magnitude, low.magnitude), "\(tick)")
                }
                for (left, right) in zip(axis.ticks, axis.ticks.dropFirst()) {
                    let distance = (axis.position(right.value) - axis.position(left.value)) * length
                    let widest = max(Axis.labelWidth(left.label), Axis.labelWidth(right.label)) - 14
                    #expect(distance >= (isHorizontal ? widest : 14), "\(axis.ticks) on \(length)")
                }
                guard axis.scale == .linear, axis.ticks.count > 1 else { continue }
                let step = axis.ticks[1].value - axis.ticks[0].value
                let digit = step / pow(10, floor(log10(step * 1.0001)))
                #expect([1, 2, 5].contains { abs(digit - $0) < 1e-3 * $0 }, "\(axis.ticks)")
            }
        }
    }

    /// The number that a label stands for.
    private func value(of label: String) -> Double? {
        let factors: [Character: Double] = ["k": 1e3, "M": 1e6, "B": 1e9, "T": 1e12]
        guard let factor = label.last.flatMap({ factors[$0] }) else { return Double(label) }
        return Double(label.dropLast()).map { $0 * factor }
    }

    @Test("labels of things are left out where they would overlap")
    func categories() {
        #expect(Axis("", categories: ["0", "16", "32"], length: 300).ticks.map(\.label) == ["0", "16", "32"])
        let many = Axis("", categories: (0..<100).map(String.init), length: 300)
        #expect(many.ticks.map(\.label) == ["0", "10", "20", "30", "40", "50", "60", "70", "80", "90"])
        #expect(many.position(0) == 0.005 && many.position(99) == 0.995)
        #expect(Axis("", categories: [], length: 300).ticks.isEmpty)
    }
}
