/// A set of Unicode scalars.
struct ScalarSet: Hashable, Sendable {
    /// Ascending, apart from one another, without surrogates.
    let ranges: [ClosedRange<UInt32>]

    init(_ ranges: [ClosedRange<UInt32>]) {
        var merged: [ClosedRange<UInt32>] = []
        for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if let last = merged.last, range.lowerBound <= last.upperBound + 1 {
                merged[merged.count - 1] = last.lowerBound...max(last.upperBound, range.upperBound)
            } else {
                merged.append(range)
            }
        }
        self.ranges = merged.flatMap { range -> [ClosedRange<UInt32>] in
            let parts = [
                (range.lowerBound, min(range.upperBound, 0xD7FF)), (max(range.lowerBound, 0xE000), range.upperBound),
            ]
            return parts.filter { $0.0 <= $0.1 }.map { $0.0...$0.1 }
        }
    }

    init(_ scalars: String) { self.init(scalars.unicodeScalars.map { $0.value...$0.value }) }

    static let all = ScalarSet([0...0x10FFFF])
    static let ascii = ScalarSet([0...0x7F])
    static let digits = ScalarSet([0x30...0x39])
    /// `\w` of regular expressions.
    static let word = ScalarSet([0x30...0x39, 0x41...0x5A, 0x5F...0x5F, 0x61...0x7A])
    /// `\s` within ASCII.
    static let space = ScalarSet([0x09...0x0D, 0x20...0x20])
    /// What `.` does not stand for in one dialect or another.
    static let lineEnds = ScalarSet([0x0A...0x0D, 0x85...0x85, 0x2028...0x2029])
    /// What stands in a JSON string as it is.
    static let unescaped = ScalarSet([0x20...0x10FFFF]).subtracting(ScalarSet("\"\\"))

    var isEmpty: Bool { ranges.isEmpty }

    func union(_ other: ScalarSet) -> ScalarSet { ScalarSet(ranges + other.ranges) }

    var complement: ScalarSet {
        var (rest, next) = ([ClosedRange<UInt32>](), UInt32(0))
        for range in ranges {
            if range.lowerBound > next { rest.append(next...range.lowerBound - 1) }
            next = range.upperBound + 1
        }
        if next <= 0x10FFFF { rest.append(next...0x10FFFF) }
        return ScalarSet(rest)
    }

    func intersection(_ other: ScalarSet) -> ScalarSet { complement.union(other.complement).complement }

    func subtracting(_ other: ScalarSet) -> ScalarSet { complement.union(other).complement }

    /// UTF-8 of the scalars, as ranges of each of its bytes.
    var byteRanges: [[ClosedRange<UInt8>]] {
        var result: [[ClosedRange<UInt8>]] = []
        for range in ranges {
            for part in [0...0x7F, 0x80...0x7FF, 0x800...0xFFFF, 0x10000...0x10FFFF] as [ClosedRange<UInt32>]
            where range.overlaps(part) {
                Self.split(range.clamped(to: part), into: &result)
            }
        }
        return result
    }

    /// Splits scalars of one length so that in each part every byte goes through a range of its own.
    private static func split(_ range: ClosedRange<UInt32>, into result: inout [[ClosedRange<UInt8>]]) {
        let (low, high) = (range.lowerBound, range.upperBound)
        for digit in 1..<4 where high > 0x7F {
            let mask = UInt32(1) << (6 * digit) - 1
            guard low & ~mask != high & ~mask else { break }
            if low & mask != 0 {
                split(low...low | mask, into: &result)
                return split((low | mask) + 1...high, into: &result)
            }
            if high & mask != mask {
                split(low...(high & ~mask) - 1, into: &result)
                return split(high & ~mask...high, into: &result)
            }
        }
        result.append(zip(bytes(low), bytes(high)).map { $0...$1 })
    }

    private static func bytes(_ scalar: UInt32) -> [UInt8] {
        Unicode.Scalar(scalar).map { Array(String(Character($0)).utf8) } ?? []
    }
}
