import Foundation

/// Numbers between bounds, either of which may be missing.
struct NumberRange {
    var lower: Decimal?
    var upper: Decimal?
    var excludesLower = false
    var excludesUpper = false

    mutating func raise(_ bound: Decimal, excluded: Bool) {
        if let lower, lower > bound || lower == bound && excludesLower { return }
        (lower, excludesLower) = (bound, excluded)
    }

    mutating func lower(_ bound: Decimal, excluded: Bool) {
        if let upper, upper < bound || upper == bound && excludesUpper { return }
        (upper, excludesUpper) = (bound, excluded)
    }

    var isBounded: Bool { lower != nil || upper != nil }

    /// The range of the integers in it.
    var integers: NumberRange {
        var range = self
        if let lower {
            let whole = lower.rounded(.up)
            range.lower = whole == lower && excludesLower ? whole + 1 : whole
        }
        if let upper {
            let whole = upper.rounded(.down)
            range.upper = whole == upper && excludesUpper ? whole - 1 : whole
        }
        (range.excludesLower, range.excludesUpper) = (false, false)
        return range
    }
}

extension Decimal {
    fileprivate func rounded(_ mode: NSDecimalNumber.RoundingMode) -> Decimal {
        var (value, result) = (self, Decimal())
        NSDecimalRound(&result, &value, 0, mode)
        return result
    }
}

extension JSONGrammar {
    /// No bound may be larger.
    static let largestBound = Decimal(sign: .plus, exponent: mostDigits, significand: 1)

    /// A number within a range, digit by digit; without exponent.
    mutating func number(_ range: NumberRange, isInteger: Bool, from start: State) throws -> State {
        let range = isInteger ? range.integers : range
        let next = try builder.state()
        let largest = Self.largestBound - 1
        // Minus zero is not written.
        if (range.lower ?? -1) < 0 {
            var positive = NumberRange(
                lower: range.upper.map { -$0 }, upper: range.lower.map { -$0 } ?? largest,
                excludesLower: range.excludesUpper, excludesUpper: range.excludesLower)
            if (positive.lower ?? -1) <= 0 {
                (positive.lower, positive.excludesLower) = (isInteger ? 1 : 0, !isInteger)
            }
            let minus = try builder.bytes("-".utf8, from: start)
            try unsigned(positive, isInteger: isInteger, from: minus, to: next)
        }
        if (range.upper ?? 1) >= 0 {
            var positive = range
            if (positive.lower ?? -1) < 0 { (positive.lower, positive.excludesLower) = (0, false) }
            positive.upper = positive.upper ?? largest
            try unsigned(positive, isInteger: isInteger, from: start, to: next)
        }
        return next
    }

    private mutating func unsigned(
        _ range: NumberRange, isInteger: Bool, from start: State, to end: State
    ) throws {
        guard let lower = range.lower, let upper = range.upper, lower <= upper else { return }
        let (least, most) = (lower.rounded(.down), upper.rounded(.down))
        if isInteger { return try whole(least, most, from: start, to: end) }
        let lowest = Bound(digits: Self.decimals(lower), isExcluded: range.excludesLower)
        let highest = Bound(digits: Self.decimals(upper), isExcluded: range.excludesUpper)
        if least == most {
            let point = try builder.state()
            try whole(least, least, from: start, to: point)
            return try fraction(above: lowest, below: highest, from: point, to: end)
        }
        let (atLeast, between, atMost) = (try builder.state(), try builder.state(), try builder.state())
        try whole(least, least, from: start, to: atLeast)
        try fraction(above: lowest, below: nil, from: atLeast, to: end)
        if least + 1 <= most - 1 {
            try whole(least + 1, most - 1, from: start, to: between)
            try fraction(above: nil, below: nil, from: between, to: end)
        }
        try whole(most, most, from: start, to: atMost)
        try fraction(above: nil, below: highest, from: atMost, to: end)
    }

    // MARK: Integers

    private static func digits(_ whole: Decimal) -> [UInt8] { "\(whole)".utf8.map { $0 - 0x30 } }

    /// Integers of `least` to `most`, neither negative.
    private mutating func whole(_ least: Decimal, _ most: Decimal, from start: State, to end: State) throws {
        let (low, high) = (Self.digits(least), Self.digits(most))
        for count in low.count...max(low.count, high.count) {
            let smallest = count == low.count ? low : [1] + [UInt8](repeating: 0, count: count - 1)
            let largest = count == high.count ? high : [UInt8](repeating: 9, count: count)
            try digits(smallest[...], largest[...], from: start, to: end)
        }
    }

    private mutating func digit(_ digits: ClosedRange<UInt8>, from state: State) throws -> State {
        let next = try builder.state()
        builder.edge(state, digits.lowerBound + 0x30...digits.upperBound + 0x30, next)
        return next
    }

    /// As many digits as the bounds have, between them; nil bounds nothing.
    private mutating func digits(
        _ low: ArraySlice<UInt8>?, _ high: ArraySlice<UInt8>?, from state: State, to end: State
    ) throws {
        guard let first = low?.first ?? high?.first.map({ _ in 0 }) else { return builder.link(state, end) }
        let last = high?.first ?? 9
        guard first <= last else { return }
        let (low, high) = (low?.dropFirst(), high?.dropFirst())
        let count = low?.count ?? high?.count ?? 0
        if low != nil, high != nil, first == last {
            return try digits(low, high, from: try digit(first...first, from: state), to: end)
        }
        var (least, most) = (first, last)
        if low != nil {
            try digits(low, nil, from: try digit(first...first, from: state), to: end)
            least += 1
        }
        if high != nil {
            try digits(nil, high, from: try digit(last...last, from: state), to: end)
            guard most > 0 else { return }
            most -= 1
        }
        guard least <= most else { return }
        builder.link(try builder.digits(count, count, from: try digit(least...most, from: state)), end)
    }

    // MARK: Fractions

    /// A bound of a fraction by its digits behind the point.
    private struct Bound {
        var digits: ArraySlice<UInt8>
        var isExcluded: Bool

        /// Whether what was written is the bound itself.
        var isReached: Bool { digits.allSatisfy { $0 == 0 } }
    }

    private static func decimals(_ value: Decimal) -> ArraySlice<UInt8> {
        let text = "\(value)"
        return text.firstIndex(of: ".").map { text[text.index(after: $0)...].utf8.map { $0 - 0x30 } }?[...] ?? []
    }

    /// Nothing, or a point and digits behind it, between bounds; nil bounds nothing.
    private mutating func fraction(
        above low: Bound?, below high: Bound?, from state: State, to end: State
    ) throws {
        if Self.mayEnd(low, high) { builder.link(state, end) }
        let point = try builder.bytes(".".utf8, from: state)
        try decimals(low, high, left: Self.mostDecimals, from: point, to: end)
    }

    private static func mayEnd(_ low: Bound?, _ high: Bound?) -> Bool {
        (low.map { $0.isReached && !$0.isExcluded } ?? true) && (high.map { !$0.isReached || !$0.isExcluded } ?? true)
    }

    /// At least one digit.
    private mutating func decimals(
        _ low: Bound?, _ high: Bound?, left: Int, from state: State, to end: State
    ) throws {
        guard left > 0 else { return }
        guard low != nil || high != nil else { return builder.link(try builder.digits(1, left, from: state), end) }
        let (first, last) = (low?.digits.first ?? 0, high.map { $0.digits.first ?? 0 } ?? 9)
        guard first <= last else { return }
        func rest(_ bound: Bound?, _ isOnIt: Bool) -> Bound? {
            guard isOnIt, var bound else { return nil }
            bound.digits = bound.digits.dropFirst()
            return bound
        }
        func goOn(_ json: inout JSONGrammar, _ digits: ClosedRange<UInt8>, _ isLow: Bool, _ isHigh: Bool) throws {
            let (low, high) = (rest(low, isLow), rest(high, isHigh))
            let next = try json.digit(digits, from: state)
            if Self.mayEnd(low, high) { json.builder.link(next, end) }
            // Behind an upper bound that is reached only zeros could follow.
            if let high, high.isReached { return }
            try json.decimals(low, high, left: left - 1, from: next, to: end)
        }
        if low != nil, high != nil, first == last { return try goOn(&self, first...first, true, true) }
        var (least, most) = (Int(first), Int(last))
        if low != nil {
            try goOn(&self, first...first, true, false)
            least += 1
        }
        if high != nil {
            try goOn(&self, last...last, false, true)
            most -= 1
        }
        if least <= most { try goOn(&self, UInt8(least)...UInt8(most), false, false) }
    }
}
