import Foundation

/// How rotary position embeddings are stretched beyond the context length of pretraining.
public enum RopeScaling: Sendable, Equatable {
    /// Every inverse frequency is divided by `factor`.
    case linear(factor: Double)
    /// Llama 3: inverse frequencies of long wavelengths are divided by `factor`, short ones are kept, and those between
    /// are interpolated (`_compute_llama3_parameters` of transformers).
    case llama3(
        factor: Double, lowFrequencyFactor: Double, highFrequencyFactor: Double, originalMaximumPositions: Int)

    /// YaRN (Peng et al. 2023, arXiv 2309.00071): inverse frequencies of few turns within the original length are divided by
    /// `factor`, those of many are kept, with a ramp between (`_compute_yarn_parameters` of transformers).
    case yarn(
        factor: Double, attentionFactor: Double, betaFast: Double, betaSlow: Double, originalMaximumPositions: Int,
        truncates: Bool)
    /// Beyond `maximumPositions` the base grows with the text (`_compute_dynamic_ntk_parameters` of transformers).
    case dynamic(factor: Double, maximumPositions: Int)
    /// LongRoPE (Ding et al. 2024, arXiv 2402.13753): a divisor for every inverse frequency, one list for texts up to the
    /// original length and one for longer ones.
    case longRope(short: [Double], long: [Double], attentionFactor: Double, originalMaximumPositions: Int)

    /// What cosines and sines are multiplied by.
    public var attentionFactor: Double {
        switch self {
        case .linear, .llama3, .dynamic: 1
        case .yarn(_, let attention, _, _, _, _), .longRope(_, _, let attention, _): attention
        }
    }

    /// The length beyond which frequencies are others; nil where they are the same for all lengths.
    public var longestUnchanged: Int? {
        switch self {
        case .linear, .llama3, .yarn: nil
        case .dynamic(_, let positions), .longRope(_, _, _, let positions): positions
        }
    }

    /// What each of the `headDim / 2` inverse frequencies θ^(-2i / headDim) is divided by.
    /// - Parameter length: tokens of the text, where that matters.
    public func divisors(headDim: Int, theta: Double, length: Int = 0) -> [Double] {
        let pairs = 0..<headDim / 2
        switch self {
        case .linear(let factor): return pairs.map { _ in factor }
        case .llama3(let factor, let low, let high, let positions):
            return pairs.map { pair in
                let wavelength = 2 * Double.pi * pow(theta, 2 * Double(pair) / Double(headDim))
                let turns = Double(positions) / wavelength
                if turns > high { return 1 }
                if turns < low { return factor }
                let smooth = (turns - low) / (high - low)
                return 1 / ((1 - smooth) / factor + smooth)
            }
        case .yarn(let factor, _, let fast, let slow, let positions, let truncates):
            func place(_ turns: Double) -> Double {
                Double(headDim) * log(Double(positions) / (turns * 2 * .pi)) / (2 * log(theta))
            }
            let (low, high) = (place(fast), place(slow))
            let first = max(truncates ? low.rounded(.down) : low, 0)
            var last = min(truncates ? high.rounded(.up) : high, Double(headDim - 1))
            if last == first { last += 0.001 }
            return pairs.map { pair in
                let ramp = min(max((Double(pair) - first) / (last - first), 0), 1)
                return 1 / (ramp / factor + 1 - ramp)
            }
        case .dynamic(let factor, let positions):
            let stretch = factor * Double(max(length, positions)) / Double(positions) - (factor - 1)
            // θ grows by stretch^(K / (K - 2)).
            return pairs.map { $0 == 0 ? 1 : pow(stretch, 2 * Double($0) / Double(headDim - 2)) }
        case .longRope(let short, let long, _, let positions): return length > positions ? long : short
        }
    }

    /// The Llama 3 scaling with these divisors, which is all that a GGUF file keeps of it; nil when there is none.
    /// Every published model has a low-frequency factor of 1 and a high-frequency factor of 4; the original context
    /// length is a power of two.
    init?(divisors: [Float], theta: Double) {
        guard let factor = divisors.max(), factor.isFinite, factor >= 1 else { return nil }
        for exponent in 10...20 {
            let candidate = RopeScaling.llama3(
                factor: Double(factor), lowFrequencyFactor: 1, highFrequencyFactor: 4,
                originalMaximumPositions: 1 << exponent)
            let expected = candidate.divisors(headDim: divisors.count * 2, theta: theta)
            if zip(divisors, expected).allSatisfy({ abs(Double($0) - $1) <= 1e-4 * $1 }) {
                self = candidate
                return
            }
        }
        return nil
    }
}

extension RopeScaling: CustomStringConvertible {
    /// Hugging Face's name of its type.
    public var type: String {
        switch self {
        case .linear: "linear"
        case .llama3: "llama3"
        case .yarn: "yarn"
        case .dynamic: "dynamic"
        case .longRope: "longrope"
        }
    }

    /// What the longest wavelengths are stretched by; nil where every one has its own.
    public var factor: Double? {
        switch self {
        case .linear(let factor), .llama3(let factor, _, _, _), .yarn(let factor, _, _, _, _, _),
            .dynamic(let factor, _):
            factor
        case .longRope: nil
        }
    }

    /// The context length of pretraining in tokens, where the configuration says it.
    public var originalMaximumPositions: Int? {
        switch self {
        case .linear: nil
        case .llama3(_, _, _, let positions), .yarn(_, _, _, _, let positions, _), .dynamic(_, let positions),
            .longRope(_, _, _, let positions):
            positions
        }
    }

    /// "yarn, factor 4, original context 32768".
    public var description: String {
        type + (factor.map { ", factor " + String(format: "%.12g", $0) } ?? "")
            + (originalMaximumPositions.map { ", original context \($0)" } ?? "")
    }
}
