import CKernels
import Foundation

/// How likely a model finds a token, and which tokens it finds likeliest in its place.
public struct TokenLikelihood: Sendable, Equatable {
    /// A token and its log-probability, nats.
    public struct Candidate: Sendable, Equatable {
        /// The token's id.
        public let token: Int32
        /// The natural logarithm of its probability.
        public let logprob: Float
    }

    /// The token itself.
    public let chosen: Candidate
    /// The likeliest tokens, the likeliest first, of equal ones the lower id; as many as were asked for.
    public let top: [Candidate]
}

/// Turns logits into likelihoods. All of a row come from one maximum and one sum, so that a token has the same number
/// wherever it stands.
struct LikelihoodReader {
    private var weights: [Float] = []

    /// - Parameters:
    ///   - logits: one per token of the vocabulary.
    ///   - top: how many of the likeliest tokens to give.
    /// - Throws: ``GenerationError/nonFiniteLogits``.
    mutating func likelihood(
        of token: Int32, in logits: UnsafeBufferPointer<Float>, top: Int
    ) throws -> TokenLikelihood {
        var (place, peak) = (Int64(0), Float(0))
        let count = Int64(logits.count)
        guard let base = logits.baseAddress, logits.indices.contains(Int(token)),
            moult_largest(base, count, &place, &peak)
        else { throw GenerationError.nonFiniteLogits }
        if weights.count != logits.count { weights = [Float](repeating: 0, count: logits.count) }
        let (shift, mass) = (peak, sum(base, count, peak))
        func candidate(_ id: Int) -> TokenLikelihood.Candidate {
            .init(token: Int32(id), logprob: Float(Double(logits[id]) - Double(shift) - mass))
        }
        let best = top == 1 ? [Int(place)] : Self.largest(top, of: logits)
        return TokenLikelihood(chosen: candidate(Int(token)), top: best.map(candidate))
    }

    /// The logarithm of Σ exp(logit - peak).
    private mutating func sum(_ logits: UnsafePointer<Float>, _ count: Int64, _ peak: Float) -> Double {
        weights.withUnsafeMutableBufferPointer { weights in
            var (found, mass) = (Int64(0), 0.0)
            guard let weights = weights.baseAddress else { return 0 }
            moult_sampling_weights(logits, peak, 1, weights, count)
            moult_tally(logits, weights, -.infinity, count, &found, &mass)
            return log(mass)
        }
    }

    /// The places of the `count` largest, the largest first.
    private static func largest(_ count: Int, of logits: UnsafeBufferPointer<Float>) -> [Int] {
        guard count > 0 else { return [] }
        var best: [Int] = []
        var least = -Float.infinity
        for (place, logit) in logits.enumerated() where best.count < count || logit > least {
            // Behind all that are as large: those came first.
            let position = best.firstIndex { logits[$0] < logit } ?? best.count
            best.insert(place, at: position)
            if best.count > count { best.removeLast() }
            least = logits[best[best.count - 1]]
        }
        return best
    }
}
