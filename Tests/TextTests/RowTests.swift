import Foundation
import Testing
import Text

/// The arithmetic that chooses rows.
@Suite struct RowTests {
    @Test(arguments: [1, 2, 3, 4, 5, 15, 16, 17, 1000, 4096, 4097, 100_003])
    func permutationsAreOnto(count: Int) {
        let first = SeededPermutation(count: count, seed: 1)
        let values = (0..<count).map { first[$0] }
        #expect(values.sorted() == Array(0..<count))
        guard count >= 1000 else { return }
        // About one number stays in its place, and another seed gives another order.
        #expect(values.enumerated().count { $0.offset == $0.element } < 12)
        let second = SeededPermutation(count: count, seed: 2)
        #expect(values.enumerated().count { second[$0.offset] == $0.element } < 12)
        // Neighbours do not stay near one another: the mean distance of random numbers is a third of the range.
        let distance = zip(values, values.dropFirst()).reduce(0) { $0 + abs($1.0 - $1.1) } / (count - 1)
        #expect(abs(distance - count / 3) < count / 20)
    }

    @Test func everyRowOnceAnEpochWithoutWeights() {
        let rows = [100, 1, 37]
        let mixture = Mixture(rows: rows, weights: [])
        var orders: Set<[Int]> = []
        for epoch in 0..<3 {
            let places = (0..<138).map { mixture.place(epoch * 138 + $0, rows: rows, seed: 7) }
            let flat = places.map { 1000 * $0.source + $0.row }
            let expected = rows.enumerated().flatMap { source, count in (0..<count).map { 1000 * source + $0 } }
            #expect(flat.sorted() == expected)
            orders.insert(flat)
        }
        #expect(orders.count == 3)
    }

    @Test func exactQuotasWithWeights() {
        let (rows, weights) = ([1000, 10, 333], [5.0, 1, 2])
        let mixture = Mixture(rows: rows, weights: weights)
        #expect(Mixture.quotas(weights) == [640, 128, 256])
        var visits = rows.map { [Int](repeating: 0, count: $0) }
        for block in 0..<8 {
            var counts = [0, 0, 0]
            for index in block * 1024..<(block + 1) * 1024 {
                let place = mixture.place(index, rows: rows, seed: 3)
                counts[place.source] += 1
                visits[place.source][place.row] += 1
            }
            #expect(counts == [640, 128, 256])
        }
        // No row comes again before all others of its source have.
        for counts in visits { #expect((counts.max() ?? 0) - (counts.min() ?? 0) <= 1) }
        // Sources are mixed within a block.
        let start = (0..<64).map { mixture.place($0, rows: rows, seed: 3).source }
        #expect(Set(start) == [0, 1, 2])
    }

    @Test func quotas() {
        #expect(Mixture.quotas([1, 1, 1]).sorted() == [341, 341, 342])
        #expect(Mixture.quotas([1e-300, 1]) == [1, 1023])
        #expect(Mixture.quotas([1e308, 1e308]) == [512, 512])
        #expect(Mixture.quotas([Double](repeating: 1, count: 1024)) == [Int](repeating: 1, count: 1024))
        #expect(Mixture.quotas([Double](repeating: 1e-9, count: 500) + [1]).reduce(0, +) == 1024)
        #expect(Mixture.quotas([3]) == [1024])
    }

    /// No token is in a row that is trained on and in one that is held apart, and little is lost.
    @Test func heldApart() throws {
        var planned = 0
        for tokens in [1, 2, 7, 13, 14, 100, 999, 1000, 5003] {
            for length in [2, 3, 16, 100] {
                for share in [0, 0.001, 0.005, 0.1, 0.5] {
                    let least = RowPlan.leastTokens(length: length, validationShare: share)
                    guard let plan = RowPlan(tokens: tokens, length: length, validationShare: share) else {
                        #expect(tokens < least)
                        continue
                    }
                    #expect(tokens >= least)
                    planned += 1
                    let rows = (tokens - 1) / length
                    var trained: Set<Int> = []
                    var starts: [Int] = []
                    let rowsTrained = plan.trainingRows(length: length)
                    for row in 0..<rowsTrained.count {
                        let range = rowsTrained.tokens(row)
                        #expect(range.count == length + 1 && range.upperBound <= tokens)
                        trained.formUnion(range)
                        starts.append(range.lowerBound)
                    }
                    #expect(Set(starts).count == rowsTrained.count && starts == starts.sorted())
                    var targets: Set<Int> = []
                    for row in 0..<plan.validation {
                        let range = plan.validationTokens(row)
                        #expect(range.count == length + 1 && range.upperBound <= tokens)
                        #expect(trained.isDisjoint(with: range))
                        #expect(targets.isDisjoint(with: range.dropFirst()))
                        targets.formUnion(range.dropFirst())
                    }
                    #expect(share == 0 ? plan.validation == 0 : plan.validation >= 1)
                    #expect(rows - rowsTrained.count - plan.validation <= 8)
                    let wanted = Double(rows) * share
                    #expect(share == 0 || abs(Double(plan.validation) - wanted) <= max(8, wanted / 2))
                }
            }
        }
        #expect(planned > 100)
    }

    /// Rows of other lengths lie between the rows that are held apart, and leave less than a row of each stretch out.
    @Test func otherLengths() throws {
        for (tokens, length, share) in [(5003, 16, 0.1), (999, 2, 0.5), (20_000, 100, 0.005), (1000, 7, 0)] {
            let plan = try #require(RowPlan(tokens: tokens, length: length, validationShare: share))
            let held = Set((0..<plan.validation).flatMap { plan.validationTokens($0) })
            for other in [2, 3, 15, 16, 17, 40, 333] {
                let rows = plan.trainingRows(length: other)
                var targets: Set<Int> = []
                for row in 0..<rows.count {
                    let range = rows.tokens(row)
                    #expect(range.count == other + 1 && range.upperBound <= tokens)
                    #expect(held.isDisjoint(with: range) && targets.isDisjoint(with: range.dropFirst()))
                    targets.formUnion(range.dropFirst())
                }
                let trained = plan.trainingRows(length: length).count * length
                #expect(trained - rows.count * other < 9 * (other + length))
            }
        }
        // One stretch of 1000 tokens, and spans of 5 rows of 100 of which 2 are reserved.
        #expect(RowPlan(tokens: 1000, length: 100, validationShare: 0)?.trainingRows(length: 300).count == 3)
        let spans = RowPlan(tokens: 1001, length: 100, validationShare: 0.2)
        #expect(spans?.validation == 2)
        #expect(spans?.trainingRows(length: 300).count == 2 && spans?.trainingRows(length: 301).count == 0)
        #expect((0..<2).map { spans?.trainingRows(length: 300).tokens($0) } == [0..<301, 500..<801])
        #expect(spans?.tokens(forRowsOf: 601) == 2002)
    }
}
