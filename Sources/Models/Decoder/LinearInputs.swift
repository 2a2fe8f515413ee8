import Synchronization
import Tensors

/// Collects the second moments of the inputs of linear maps while a ``LayerwiseForward`` runs.
public final class LinearInputs: Sendable {
    /// By the names of all maps that share an input.
    private let sums = Mutex<[[String]: InputMoment]>([:])

    /// A collection of nothing yet.
    public init() {}

    /// The moments so far, each with the prefixes of the parameters of all maps that share the input.
    public var moments: [(names: [String], moment: InputMoment)] {
        sums.withLock { $0.map { (names: $0.key, moment: $0.value) } }
    }

    func add(_ x: Tensor, to maps: [Linear]) throws {
        guard let inputs = x.shape.last else { return }
        let names = maps.map(\.name)
        try sums.withLock {
            // Taken out while it is added to, so that its sum has one owner and is written in place.
            var moment = $0.removeValue(forKey: names) ?? InputMoment(inputs: inputs)
            try moment.add(x)
            $0[names] = moment
        }
    }
}
