import Checkpoints
import Support

/// Watches the losses of a stage, and finds what a person should be told, each thing once. A value: a checkpoint keeps it, so
/// that a run that goes on finds what it would have found.
package struct RunWatch: Sendable, Equatable {
    /// Something that was found.
    package enum Finding: Sendable, Equatable {
        /// For `measurements` in a row the validation loss has not fallen below its lowest, of the step `bestStep`.
        case plateau(measurements: Int, best: Double?, bestStep: Int)
        /// The validation loss is well above its lowest in the stage.
        case rise(loss: Double, best: Double, bestStep: Int)
        /// The validation loss is not a number, or infinite.
        case notFinite
        /// The loss of a step is far above those of the steps before, whose mean is `mean`.
        case spike(loss: Double, mean: Double)
        /// A step was left out: the gradient of `parameter` is not finite, or else the loss.
        case skipped(parameter: String?)
    }

    /// A loss has fallen when it is lower by this much, in nats: a thousandth of the perplexity.
    package static let leastFall = 0.001
    /// What it has risen by when that is said: 5% of the perplexity.
    package static let leastRise = 0.05
    /// The steps that a step's loss is compared with.
    package static let window = 20

    /// The lowest validation loss, nats per token, and its step.
    package private(set) var best: Double?
    package private(set) var bestStep = 0
    /// Measurements since then, or since the rate was lowered.
    package private(set) var waiting = 0
    /// The share of its schedule's learning rate that the stage has.
    package var rateShare = 1.0
    private var isFlat = false
    private var hasRisen = false
    private var hasSpiked = false
    private var hasSkipped = false
    /// The last losses, at most ``window``.
    private var recent: [Double] = []

    /// A stage that begins at `step`.
    /// - Parameter loss: what was measured last; nil for nothing.
    package init(loss: Double? = nil, step: Int = 0) {
        if let loss, loss.isFinite { (best, bestStep) = (loss, step) }
    }

    /// The validation loss after `step`.
    /// - Parameters:
    ///   - patience: measurements without a fall that are a plateau.
    ///   - acts: whether something is done about a plateau, also one that was said before, when nothing was to be done.
    package mutating func measured(_ loss: Double, step: Int, patience: Int, acts: Bool = false) -> [Finding] {
        var findings: [Finding] = []
        if loss.isFinite, loss < (best ?? .infinity) - Self.leastFall {
            (best, bestStep, waiting) = (loss, step, 0)
            (isFlat, hasRisen) = (false, false)
            return []
        }
        waiting += 1
        let isHigh = !loss.isFinite || loss > (best ?? .infinity) + Self.leastRise
        if isHigh, !hasRisen {
            findings.append(
                best.flatMap { loss.isFinite ? .rise(loss: loss, best: $0, bestStep: bestStep) : nil } ?? .notFinite)
        }
        hasRisen = isHigh
        if waiting >= patience, !isFlat || acts {
            isFlat = true
            findings.append(.plateau(measurements: waiting, best: best, bestStep: bestStep))
        }
        return findings
    }

    /// The rate is `factor` of what it was: the next plateau counts from here.
    package mutating func lower(by factor: Double) {
        (rateShare, waiting, isFlat) = (rateShare * factor, 0, false)
    }

    /// The loss of a step.
    package mutating func stepped(_ loss: Double) -> [Finding] {
        guard loss.isFinite else { return [] }
        defer { recent = recent.suffix(Self.window - 1) + [loss] }
        guard recent.count == Self.window, !hasSpiked else { return [] }
        let count = Double(recent.count), mean = recent.reduce(0, +) / count
        let variance = recent.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / count
        guard loss > 2 * mean, loss > mean + 6 * variance.squareRoot() else { return [] }
        hasSpiked = true
        return [.spike(loss: loss, mean: mean)]
    }

    /// A step was left out.
    package mutating func skipped(_ parameter: String?) -> [Finding] {
        defer { hasSkipped = true }
        return hasSkipped ? [] : [.skipped(parameter: parameter)]
    }
}

// MARK: In a checkpoint

extension RunWatch {
    package var json: JSONObject {
        [
            "best": best.map { .number($0) } ?? .null, "best_step": .integer(bestStep), "waiting": .integer(waiting),
            "rate_share": .number(rateShare), "flat": .bool(isFlat), "risen": .bool(hasRisen),
            "spiked": .bool(hasSpiked), "skipped": .bool(hasSkipped),
            "recent": .array(recent.map { .number($0) }),
        ]
    }

    /// - Returns: nil for what no stage leaves; a watch that has seen nothing where there is none.
    package init?(_ json: JSONValue?) {
        self.init()
        guard let json else { return }
        guard let bestStep = json["best_step"]?.integerValue, bestStep >= 0,
            let waiting = json["waiting"]?.integerValue, waiting >= 0,
            let rateShare = json["rate_share"]?.doubleValue, (0...1).contains(rateShare),
            let values = json["recent"]?.arrayValue, values.count <= Self.window
        else { return nil }
        (best, self.bestStep, self.waiting) = (json["best"]?.doubleValue, bestStep, waiting)
        (self.rateShare, recent) = (rateShare, values.compactMap(\.doubleValue))
        func said(_ key: String) -> Bool { json[key]?.boolValue ?? false }
        (isFlat, hasRisen, hasSpiked, hasSkipped) = (said("flat"), said("risen"), said("spiked"), said("skipped"))
        guard recent.count == values.count, recent.allSatisfy(\.isFinite), best?.isFinite ?? true else { return nil }
    }
}
