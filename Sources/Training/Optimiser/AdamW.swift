import Tensors

/// AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101) over the parameters that a ``TrainableModel`` trains, after
/// clipping the norm of all gradients together (Pascanu et al. 2013, arXiv 1211.5063).
public struct AdamW: Sendable, Equatable {
    /// How much of the running mean of gradients each step keeps.
    public var beta1: Float = 0.9
    /// How much of the running mean of their squares each step keeps.
    public var beta2: Float = 0.95
    /// What is added to the root of the second mean.
    public var epsilon: Float = 1e-8
    /// Decoupled weight decay, of matrices only: norms, biases and gates' half-lives are not pulled to zero.
    public var weightDecay: Float = 0.01
    /// The norm above which gradients are scaled down to it; nil never does.
    public var clip: Double? = 1

    /// The defaults of a recipe.
    public init() {}

    /// What a step did.
    public enum Outcome: Equatable, Sendable {
        /// The parameters were updated; the norm of the gradient before clipping.
        case updated(gradientNorm: Double)
        /// Nothing was changed: the gradient of this parameter, the first such, is not finite, or else the loss.
        case skipped(parameter: String?)
    }

    /// A step that has been given to the device: what it did can be read once it is done.
    struct Pending {
        let names: [String]
        let outcome: AdamWOutcome
        /// Who has taken the step.
        let team: RunTeam

        /// - Parameter loss: what the gradients are of.
        func read(loss: Double) throws -> Outcome {
            let (norm, unfinite) = try outcome.read()
            if norm.isFinite { return loss.isFinite ? .updated(gradientNorm: norm) : .skipped(parameter: nil) }
            let found = try team.sum(names.indices.map { $0 == unfinite ? 1 : 0 })
            return .skipped(parameter: found.firstIndex { $0 > 0 }.map { names[$0] })
        }
    }

    /// What a backend's step depends on.
    func settings(_ rates: AdamWSettings.Rates, input: Tensor? = nil, loss: Tensor? = nil) -> AdamWSettings {
        var rates = rates
        rates.clip = clip
        return AdamWSettings(beta1: beta1, beta2: beta2, epsilon: epsilon, rates: rates, input: input, loss: loss)
    }

    /// Updates the parameters that have gradients, of those that ranks share this rank's parts, which it hands to the others.
    /// - Parameters:
    ///   - gradients: the sums over all ranks, or this rank's parts of them, by name.
    ///   - rateScale: the learning rate of a parameter, relative to that of the step.
    func step(
        _ model: TrainableModel, _ gradients: [String: Tensor], _ settings: AdamWSettings,
        rateScale: (String) -> Double
    ) throws -> Pending {
        let (names, parameters, outcome) = try update(model, gradients, settings, rateScale: rateScale)
        try model.handOutParts(of: names)
        if model.device.traits.recordsWork { try model.clearGradients(zip(names, parameters.map(\.gradient))) }
        return Pending(names: names, outcome: outcome, team: model.team)
    }

    private func update(
        _ model: TrainableModel, _ gradients: [String: Tensor], _ settings: AdamWSettings,
        rateScale: (String) -> Double
    ) throws -> (names: [String], parameters: [AdamWParameter], outcome: AdamWOutcome) {
        let team = model.team
        var (gradients, settings) = (gradients, settings)
        if !team.isAlone { settings.uniting = { try team.sum(inPlace: $0) } }
        var (names, parameters): ([String], [AdamWParameter]) = ([], [])
        // Also those that were lent before an error.
        defer {
            for (name, parameter) in zip(names, parameters) { try? model.master(name).takeBack(parameter) }
        }
        for name in model.trained {
            // The parameter's own now, to be changed in place.
            guard let gradient = gradients.removeValue(forKey: name) else { continue }
            let parameter = try model.master(name).lend(
                gradient: gradient, rateScale: Float(rateScale(name)), weightDecay: weightDecay,
                counts: team.rank == 0)
            names.append(name)
            parameters.append(parameter)
        }
        let outcome = try model.device.gradientBackend.adamW(&parameters, settings)
        return (names, parameters, outcome)
    }
}
