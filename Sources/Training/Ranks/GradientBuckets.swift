import Tensors

/// Gradients on their way to their sums over the ranks while the backward pass goes on: as soon as nothing more is added to some
/// megabytes of them, these are summed where they are, beside the device's other work (Li et al. 2020, arXiv 2006.15704).
final class GradientBuckets {
    private let team: RunTeam
    private var waiting: [Tensor] = []
    private var bytes = 0
    private var taken: Set<ObjectIdentifier> = []

    /// A sum of fewer bytes takes longer than its share of a large one.
    private static let limit = 25 << 20

    init(_ team: RunTeam) { self.team = team }

    /// Takes a gradient to which nothing more is added. One that has no place of its own waits until the end: its memory may be that
    /// of another, which is still read.
    func complete(_ variable: Variable) throws {
        if variable.staysInPlace { try take(variable) }
    }

    private func take(_ variable: Variable) throws {
        guard let gradient = variable.gradient, taken.insert(ObjectIdentifier(variable)).inserted else { return }
        waiting.append(gradient)
        bytes += gradient.byteCount
        if bytes >= Self.limit { try flush() }
    }

    /// Sums what is left of the parameters of `model`; work that is given to the device from now on has the sums.
    func finish(_ model: TrainableModel) throws {
        for name in model.trained {
            if let variable = try model.master(name).variable { try take(variable) }
        }
        try flush()
        try team.communicator.join()
    }

    private func flush() throws {
        try team.communicator.sum(&waiting)
        (waiting, bytes) = ([], 0)
    }
}
