import Tensors

/// AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101) over the parameters that a ``TrainableModel`` trains, after
/// clipping the norm of all gradients together (Pascanu et al. 2013, arXiv 1211.5063).
public struct AdamW: Sendable, Equatable {
    public var beta1: Float = 0.9
    public var beta2: Float = 0.95
    public var epsilon: Float = 1e-8
    /// Decoupled weight decay, of matrices only: norms, biases and gates' half-lives are not pulled to zero.
    public var weightDecay: Float = 0.01
    /// The norm above which gradients are scaled down to it; nil never does.
    public var clip: Double? = 1

    public init() {}

    /// What a step did.
    public enum Outcome: Equatable, Sendable {
        /// The parameters were updated; the norm of the gradient before clipping.
        case updated(gradientNorm: Double)
        /// Nothing was changed: the gradient of this parameter, the first such, is not finite, or else the loss.
        case skipped(parameter: String?)
    }

    /// Takes the gradients that have arrived, and updates.
    /// - Parameters:
    ///   - step: counted from 1 within the stage.
    ///   - loss: what the gradients are of; unless it is finite, nothing is updated.
    ///   - scale: what gradients are multiplied with, such as 1 / accumulated batches.
    ///   - rate: the learning rate of a parameter.
    func step(
        _ model: TrainableModel, step: Int, loss: Double, scale: Double, rate: (String) -> Double
    ) throws -> Outcome {
        let backend = Device.cpu.backend
        let gradients = try model.trained.map { name in
            (name: name, gradient: try model.master(name).variable?.takeGradient())
        }
        var squares = 0.0
        for (name, gradient) in gradients {
            guard let gradient else { continue }
            let part = try backend.sumOfSquares(gradient)
            guard part.isFinite else { return .skipped(parameter: name) }
            squares += part
        }
        guard loss.isFinite else { return .skipped(parameter: nil) }
        let norm = squares.squareRoot() * scale
        let clipping = clip.map { norm > $0 ? $0 / norm : 1 } ?? 1
        for (name, gradient) in gradients {
            let master = try model.master(name)
            guard let gradient, var first = master.first.take(), var second = master.second.take() else { continue }
            try backend.adamW(
                parameter: &master.value, gradient: gradient, first: &first, second: &second, copy: &master.copy,
                learningRate: Float(rate(name)), beta1: beta1, beta2: beta2, epsilon: epsilon,
                weightDecay: master.value.rank > 1 ? weightDecay : 0, step: step, gradientScale: Float(scale * clipping)
            )
            (master.first, master.second) = (first, second)
        }
        return .updated(gradientNorm: norm)
    }
}
