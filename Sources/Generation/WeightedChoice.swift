import CKernels
import Foundation

/// A weighted choice among scores that are cut by top-k, top-p and min-p, without sorting them all.
///
/// All three keep the scores from some threshold up. It is bracketed by steps down from the largest score, each a pass
/// that counts and weighs what lies above, then halved until few scores are left inside, and those are sorted.
struct WeightedChoice: Sendable {
    /// Scores that are sorted rather than cut further.
    private static let few = 128
    /// Scores that are weighed together when one is drawn.
    private static let block = 1024

    /// Of each score, relative to the largest one's weight of 1.
    private var weights: [Float] = []
    private var places: [Int32] = []
    private var bracket: [(score: Float, weight: Float)] = []
    /// The lowest score that is kept, and what all kept ones weigh.
    private var threshold: Float = 0
    private var mass = 0.0

    /// How many scores lie above a threshold, and what they weigh.
    private struct Tally {
        var count = 0
        var mass = 0.0
    }

    /// Weighs `scores`, whose largest is `peak`, and cuts them.
    mutating func weigh(_ scores: UnsafeBufferPointer<Float>, peak: Float, _ options: SamplingOptions) {
        guard let base = scores.baseAddress else { return }
        if weights.count < scores.count { weights = [Float](repeating: 0, count: scores.count) }
        let temperature = options.temperature
        weights.withUnsafeMutableBufferPointer { weights in
            guard let out = weights.baseAddress else { return }
            moult_sampling_weights(base, peak, temperature, out, Int64(scores.count))
        }
        threshold = -.infinity
        if let topK = options.topK, topK < scores.count {
            threshold = lowest(scores, peak: peak) { $0.count >= topK }
        }
        mass = tally(scores, from: threshold).mass
        if options.topP < 1 {
            let target = mass * Double(options.topP)
            threshold = max(threshold, lowest(scores, peak: peak) { $0.mass >= target })
        }
        if options.minP > 0 {
            // weight ≥ minP, that is (score - peak) / temperature ≥ log(minP).
            threshold = max(threshold, peak + temperature * log(options.minP))
        }
        if options.topP < 1 || options.minP > 0 { mass = tally(scores, from: threshold).mass }
    }

    /// The place of the kept score at which the share `position`, in [0, 1), of the kept weight is reached; nil when
    /// rounding leaves none.
    func draw(_ scores: UnsafeBufferPointer<Float>, at position: Double) -> Int? {
        var rest = position * mass
        for start in stride(from: 0, to: scores.count, by: Self.block) {
            let range = start..<min(start + Self.block, scores.count)
            let weight = tally(scores, range, from: threshold).mass
            guard rest < weight else {
                rest -= weight
                continue
            }
            var last: Int?
            for place in range where scores[place] >= threshold {
                last = place
                rest -= Double(weights[place])
                if rest < 0 { break }
            }
            return last
        }
        return nil
    }

    /// The kept scores' places, ascending, and their shares of the weight.
    func kept(_ scores: UnsafeBufferPointer<Float>) -> [(token: Int32, probability: Double)] {
        scores.indices.filter { scores[$0] >= threshold }.map { (Int32($0), Double(weights[$0]) / mass) }
    }

    /// The highest score such that `isEnough` of those from it up; minus infinity when all of them are not.
    private mutating func lowest(
        _ scores: UnsafeBufferPointer<Float>, peak: Float, _ isEnough: (Tally) -> Bool
    ) -> Float {
        // Enough lie above `low`, too few above `high`.
        var (low, high) = (peak, Float.infinity)
        var (lowTally, highTally) = (tally(scores, from: low), Tally())
        var step: Float = 1
        while !isEnough(lowTally) {
            guard lowTally.count < scores.count else { return -.infinity }
            (high, highTally) = (low, lowTally)
            low = peak - step
            lowTally = tally(scores, from: low)
            step *= 2
        }
        while lowTally.count - highTally.count > Self.few {
            let middle = low + (min(high, peak.nextUp) - low) / 2
            guard middle > low, middle < high else { break }
            let tally = tally(scores, from: middle)
            if isEnough(tally) { (low, lowTally) = (middle, tally) } else { (high, highTally) = (middle, tally) }
        }
        fillBracket(scores, low..<high, count: lowTally.count - highTally.count)
        for (score, weight) in bracket {
            highTally.count += 1
            highTally.mass += Double(weight)
            if isEnough(highTally) { return score }
        }
        return low
    }

    /// Sorts the `count` scores of `range`, the largest first, into ``bracket``.
    private mutating func fillBracket(_ scores: UnsafeBufferPointer<Float>, _ range: Range<Float>, count: Int) {
        bracket.removeAll(keepingCapacity: true)
        guard let base = scores.baseAddress else { return }
        if places.count < count { places = [Int32](repeating: 0, count: count) }
        let found = places.withUnsafeMutableBufferPointer { places in
            guard let out = places.baseAddress else { return 0 }
            return Int(
                moult_places(base, range.lowerBound, range.upperBound, Int64(scores.count), out, Int64(count)))
        }
        for place in places[..<found] { bracket.append((scores[Int(place)], weights[Int(place)])) }
        bracket.sort { $0.score > $1.score }
    }

    private func tally(
        _ scores: UnsafeBufferPointer<Float>, _ range: Range<Int>? = nil, from threshold: Float
    ) -> Tally {
        let range = range ?? scores.indices
        var (count, mass) = (Int64(0), 0.0)
        weights.withUnsafeBufferPointer { weights in
            guard let scores = scores.baseAddress, let weights = weights.baseAddress else { return }
            moult_tally(
                scores + range.lowerBound, weights + range.lowerBound, threshold, Int64(range.count), &count, &mass)
        }
        return Tally(count: Int(count), mass: mass)
    }
}
