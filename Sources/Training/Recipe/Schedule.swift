import Foundation

/// The learning rate over the steps of a stage: a linear warm-up to the peak, then one of three courses down to
/// `final` times the peak.
public struct Schedule: Sendable, Equatable {
    /// What the rate does after the warm-up.
    public enum Course: String, Sendable, CaseIterable {
        /// Half a cosine over all steps after the warm-up (Loshchilov and Hutter 2017, arXiv 1608.03983).
        case cosine
        /// Stays at the peak, then goes down linearly over the last `decay` of the steps: warm-up, stable, decay
        /// (Hu et al. 2024, arXiv 2404.06395).
        case wsd
        /// Stays at the peak.
        case constant
    }

    /// What the rate does after the warm-up.
    public var course = Course.cosine
    /// The highest rate.
    public var peak = 3e-5
    /// Steps that the rate rises over; at most half of the stage.
    public var warmUpSteps = 1000
    /// The last rate as a share of the peak.
    public var final = 0.1
    /// The share of the steps that `wsd` spends going down.
    public var decay = 0.2

    /// The defaults: a cosine from 3e-5 down to a tenth of it.
    public init() {}

    /// The rate of step `step` of `steps`, counted from 1.
    public func rate(step: Int, of steps: Int) -> Double {
        // A stage shorter than its warm-up still reaches its peak, half-way.
        let warmUp = min(warmUpSteps, max(1, steps / 2))
        let rising = min(1, Double(step) / Double(max(1, warmUp)))
        guard rising >= 1 else { return peak * rising }
        switch course {
        case .constant: return peak
        case .cosine:
            let progress = Double(step - warmUp) / Double(max(1, steps - warmUp))
            return peak * (final + (1 - final) * 0.5 * (1 + cos(.pi * min(1, progress))))
        case .wsd:
            let left = Double(steps - step) / max(1, decay * Double(steps))
            return peak * (final + (1 - final) * min(1, left))
        }
    }
}
