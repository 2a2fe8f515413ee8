import Foundation

/// How rotary position embeddings are stretched beyond the context length of pretraining.
public enum RopeScaling: Sendable, Equatable {
    /// Every inverse frequency is divided by `factor`.
    case linear(factor: Double)
    /// Llama 3: inverse frequencies of long wavelengths are divided by `factor`, short ones are kept, and those between
    /// are interpolated (`_compute_llama3_parameters` of transformers).
    case llama3(
        factor: Double, lowFrequencyFactor: Double, highFrequencyFactor: Double, originalMaximumPositions: Int)

    /// What each of the `headDim / 2` inverse frequencies θ^(-2i / headDim) is divided by.
    public func divisors(headDim: Int, theta: Double) -> [Double] {
        (0..<headDim / 2).map { pair in
            switch self {
            case .linear(let factor): return factor
            case .llama3(let factor, let low, let high, let positions):
                let wavelength = 2 * Double.pi * pow(theta, 2 * Double(pair) / Double(headDim))
                let turns = Double(positions) / wavelength
                if turns > high { return 1 }
                if turns < low { return factor }
                let smooth = (turns - low) / (high - low)
                return 1 / ((1 - smooth) / factor + smooth)
            }
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
