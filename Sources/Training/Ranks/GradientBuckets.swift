import Communication
import Tensors

/// Gradients on their way to their sums over the ranks while the backward pass goes on: as soon as nothing more is added to some
/// megabytes of them, these are summed beside the device's other work (Li et al. 2020, arXiv 2006.15704). Of a parameter whose
/// master is shared each rank gets its part of the sum, and the gradient itself is dropped.
final class GradientBuckets {
    private let model: TrainableModel
    /// The trained parameters' names, by the variables at which their gradients arrive.
    private var names: [ObjectIdentifier: String] = [:]
    /// Gradients that stay where they are, and names and gradients of shared parameters.
    private var inPlace: [Tensor] = []
    private var shared: [(name: String, gradient: Tensor)] = []
    private var bytes = 0
    /// Parts that are being summed.
    private var pending: [(name: String, part: Tensor)] = []
    private var sums: [String: Tensor] = [:]
    /// Those whose sum has been begun.
    private var begun: Set<String> = []
    /// Whether the batch in hand is the step's last.
    var isLast = false

    /// A sum of fewer bytes takes longer than its share of a large one.
    static let limit = 25 << 20

    init(_ model: TrainableModel) { self.model = model }

    private var communicator: any Communicator { model.team.communicator }

    /// Takes a gradient to which the batch in hand adds nothing more. One that is not shared and has no place of its own waits until
    /// the end: its memory may be that of another, which is still read.
    func complete(_ variable: Variable) throws {
        if names.isEmpty {
            for name in model.trained {
                if let variable = try model.master(name).variable { names[ObjectIdentifier(variable)] = name }
            }
        }
        guard let name = names[ObjectIdentifier(variable)] else { return }
        if try model.master(name).part != nil {
            guard let gradient = variable.takeGradient() else { return }
            shared.append((name, gradient))
            bytes += gradient.byteCount
        } else if isLast, variable.staysInPlace, let gradient = variable.gradient {
            add(name, gradient)
        }
        if bytes >= Self.limit { try flush() }
    }

    private func add(_ name: String, _ gradient: Tensor) {
        begun.insert(name)
        sums[name] = gradient
        inPlace.append(gradient)
        bytes += gradient.byteCount
    }

    private func flush() throws {
        // What the last ones were made from is free then.
        try settle()
        var parts = try shared.map { name, _ in
            let master = try model.master(name), isFirst = begun.insert(name).inserted
            return try isFirst ? master.gradientPart() : master.emptyPart()
        }
        try communicator.reduceScatter(shared.map(\.gradient), into: &parts)
        pending = zip(shared, parts).map { ($0.name, $1) }
        try communicator.sum(&inPlace)
        (shared, inPlace, bytes) = ([], [], 0)
    }

    /// Lets what comes later wait for the sums, and adds them to those of earlier batches.
    private func settle() throws {
        try communicator.join()
        for (name, part) in pending {
            guard var sum = sums[name] else {
                sums[name] = part
                continue
            }
            try model.device.gradientBackend.accumulate(part, into: &sum, scale: 1)
            sums[name] = sum
        }
        pending = []
    }

    /// The sums of all that is trained, or this rank's parts of them, by name; work that is given to the device from now on has them.
    func finish() throws -> [String: Tensor] {
        for name in model.trained where !begun.contains(name) {
            let master = try model.master(name)
            guard master.part == nil, let gradient = master.variable?.gradient else { continue }
            add(name, gradient)
        }
        try flush()
        try settle()
        return sums
    }
}
