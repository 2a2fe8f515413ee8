import Foundation
import Models
import Tensors

/// Picks the next token from logits. Temperature 0 takes the most likely one; otherwise the distribution is sharpened
/// by 1/temperature, cut to the `topK` most likely tokens and to the smallest set of probability `topP`
/// (Holtzman et al. 2020, arXiv 1904.09751), and sampled.
public struct Sampler: Sendable {
    public var temperature: Float
    public var topK: Int?
    public var topP: Float
    private var generator: SplitMix64

    /// - Throws: ``GenerationError/option(name:expected:found:)`` when a value is out of range.
    public init(temperature: Float = 0, topK: Int? = nil, topP: Float = 1, seed: UInt64 = 0) throws {
        guard temperature >= 0, temperature.isFinite else {
            throw GenerationError.option(name: "--temperature", expected: "0 or more", found: "\(temperature)")
        }
        guard topP > 0, topP <= 1 else {
            throw GenerationError.option(name: "--top-p", expected: "more than 0, at most 1", found: "\(topP)")
        }
        if let topK, topK < 1 { throw GenerationError.option(name: "--top-k", expected: "1 or more", found: "\(topK)") }
        (self.temperature, self.topK, self.topP) = (temperature, topK, topP)
        generator = SplitMix64(seed: seed)
    }

    /// - Throws: ``GenerationError/nonFiniteLogits`` when no choice makes sense.
    public mutating func sample(_ logits: UnsafeBufferPointer<Float>) throws -> Int32 {
        guard let (best, peak) = Self.largest(logits) else { throw GenerationError.nonFiniteLogits }
        guard temperature > 0 else { return Int32(best) }
        return draw(logits, best: peak)
    }

    public mutating func sample(_ logits: Tensor) throws -> Int32 {
        try logits.withElements(Float.self) { try sample($0) }
    }

    /// The first largest value and its place; nil when there is none or one is not finite. One pass, since this is done
    /// for every token.
    private static func largest(_ values: UnsafeBufferPointer<Float>) -> (index: Int, value: Float)? {
        guard var peak = values.first else { return nil }
        var best = 0
        // NaN and infinities make this NaN; finite values leave it zero.
        var taint: Float = 0
        for (index, value) in values.enumerated() {
            taint += value * 0
            if value > peak { (best, peak) = (index, value) }
        }
        return taint == 0 ? (best, peak) : nil
    }

    private mutating func draw(_ logits: UnsafeBufferPointer<Float>, best: Float) -> Int32 {
        var candidates = logits.indices.map {
            (token: Int32($0), weight: Double(exp((logits[$0] - best) / temperature)))
        }
        if topK != nil || topP < 1 {
            candidates.sort { $0.weight > $1.weight }
            if let topK { candidates.removeLast(max(0, candidates.count - topK)) }
            let mass = candidates.reduce(0) { $0 + $1.weight } * Double(topP)
            var (held, kept) = (0.0, 0)
            while kept < candidates.count, held < mass {
                held += candidates[kept].weight
                kept += 1
            }
            candidates.removeLast(candidates.count - max(1, kept))
        }
        var rest = generator.uniform() * candidates.reduce(0) { $0 + $1.weight }
        for candidate in candidates {
            rest -= candidate.weight
            if rest < 0 { return candidate.token }
        }
        return candidates[0].token
    }
}
