import Tensors

/// What a state consists of: the number of tokens seen, and float32 tensors by name in a fixed order. Stored, and put
/// into a state of the same model, it continues the sequence bit for bit.
public struct StateSnapshot: Sendable {
    /// The number of tokens seen.
    public let position: Int
    /// The state's tensors in their order, float32 each.
    public private(set) var tensors: [(name: String, value: Tensor)] = []
    private var places: [String: Int] = [:]

    /// The most tokens that a state can have seen: positions up to here are exact in float64.
    public static let maximumPosition = 1 << 53

    /// A snapshot without tensors, of a state that has seen `position` tokens.
    public init(position: Int) { self.position = position }

    /// Adds a tensor.
    /// - Throws: ``ModelError/state(name:expected:found:)`` when there is one of this name.
    public mutating func append(_ name: String, _ value: Tensor) throws {
        guard places.updateValue(tensors.count, forKey: name) == nil else {
            throw ModelError.state(name: name, expected: "one tensor", found: "two")
        }
        tensors.append((name, value))
    }

    /// A copy of the tensor `name`, which nothing else holds.
    /// - Throws: ``ModelError/state(name:expected:found:)`` when it is missing or is not float32 of `shape`.
    func tensor(_ name: String, shape: [Int]) throws -> Tensor {
        guard let place = places[name] else {
            throw ModelError.state(name: name, expected: "a tensor of shape \(shape)", found: "none")
        }
        let found = tensors[place].value
        guard found.shape == shape, found.dtype == .float32 else {
            throw ModelError.state(
                name: name, expected: "float32 of shape \(shape)", found: "\(found.dtype.rawValue) of \(found.shape)")
        }
        var copy = try Tensor.empty(shape)
        try copy.withMutable(Float.self) { copy in
            try found.withElements(Float.self) { _ = copy.update(from: $0) }
        }
        return copy
    }
}

extension DecoderState {
    /// What ``DecoderModel/makeState(from:)`` needs. Its tensors are not changed by what this state reads later.
    public func snapshot() throws -> StateSnapshot {
        var snapshot = StateSnapshot(position: position)
        for (layer, state) in try layers().enumerated() { try state.store(in: &snapshot, prefix: "layers.\(layer).") }
        return snapshot
    }
}

extension DecoderModel {
    /// The state of which `snapshot` was made.
    /// - Throws: ``ModelError/state(name:expected:found:)`` when it was made of another model's.
    public func makeState(from snapshot: StateSnapshot) throws -> DecoderState {
        guard (0...StateSnapshot.maximumPosition).contains(snapshot.position) else {
            throw ModelError.state(
                name: "position", expected: "0 to \(StateSnapshot.maximumPosition)", found: "\(snapshot.position)")
        }
        let state = try makeState()
        for (layer, part) in try state.layers().enumerated() {
            try part.restore(snapshot, prefix: "layers.\(layer).")
        }
        state.position = snapshot.position
        let names = try state.snapshot().tensors.map(\.name)
        guard names == snapshot.tensors.map(\.name) else {
            throw ModelError.state(
                name: "tensors", expected: "\(names.count) in the order of the layers",
                found: "\(snapshot.tensors.count), or another order")
        }
        return state
    }
}
