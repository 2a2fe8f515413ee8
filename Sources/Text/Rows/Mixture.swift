import Support

/// Which source's row is next, as a pure function of seed and index.
package enum Mixture: Sendable {
    /// A pass over all rows of all sources in one permutation; the sources' rows, added up from the first on.
    case proportional(ends: [Int])
    /// Blocks of ``blockRows`` rows in which each source has its quota; the quotas, added up from the first on.
    case weighted(ends: [Int])

    package static let blockRows = 1024

    /// A mixture of sources with these numbers of rows and weights.
    /// - Parameter weights: relative shares of the rows; empty for shares that follow the number of rows.
    package init(rows: [Int], weights: [Double]) {
        func ends(_ counts: [Int]) -> [Int] {
            var sum = 0
            return counts.map { count in
                sum += count
                return sum
            }
        }
        self = weights.isEmpty ? .proportional(ends: ends(rows)) : .weighted(ends: ends(Self.quotas(weights)))
    }

    /// Rows of each block per source: the shares, rounded by largest remainder, with at least one row each.
    package static func quotas(_ weights: [Double]) -> [Int] {
        let largest = weights.max() ?? 1
        let sum = weights.reduce(0) { $0 + $1 / largest }
        let exact = weights.map { $0 / largest / sum * Double(blockRows) }
        var quotas = exact.map { max(1, Int($0)) }
        while true {
            let excess = quotas.reduce(0, +) - blockRows
            guard excess != 0 else { return quotas }
            let differences = zip(exact, quotas).map { $0 - Double($1) }
            let candidates = excess < 0 ? Array(quotas.indices) : quotas.indices.filter { quotas[$0] > 1 }
            let best = candidates.max { left, right in
                excess < 0 ? differences[left] < differences[right] : differences[left] > differences[right]
            }
            quotas[best ?? 0] += excess < 0 ? 1 : -1
        }
    }

    /// The source of row `index`, and the row's number in that source's endless sequence of passes over its `rows`,
    /// each in an order of its own.
    package func place(_ index: Int, rows: [Int], seed: UInt64) -> (source: Int, row: Int) {
        precondition(index >= 0, "row \(index)")
        switch self {
        case .proportional(let ends):
            let count = ends[ends.count - 1]
            let (epoch, position) = index.quotientAndRemainder(dividingBy: count)
            let row = SeededPermutation(count: count, seed: seededHash(seed, UInt64(epoch)))[position]
            let source = Self.index(of: row, in: ends)
            return (source, row - (source == 0 ? 0 : ends[source - 1]))
        case .weighted(let ends):
            let (block, position) = index.quotientAndRemainder(dividingBy: Self.blockRows)
            let order = SeededPermutation(count: Self.blockRows, seed: seededHash(seed, UInt64(block)))
            let slot = order[position]
            let source = Self.index(of: slot, in: ends)
            let first = source == 0 ? 0 : ends[source - 1]
            let turn = block * (ends[source] - first) + slot - first
            let (epoch, step) = turn.quotientAndRemainder(dividingBy: rows[source])
            let seed = seededHash(seed, UInt64(source) + 1, UInt64(epoch))
            return (source, SeededPermutation(count: rows[source], seed: seed)[step])
        }
    }

    /// The first source whose end is above `value`.
    private static func index(of value: Int, in ends: [Int]) -> Int {
        var (low, high) = (0, ends.count - 1)
        while low < high {
            let middle = (low + high) / 2
            if ends[middle] <= value { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
