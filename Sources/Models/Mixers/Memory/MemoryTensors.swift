import Tensors

/// One tensor of what a memory remembers of a sequence; zero at the sequence's beginning.
public struct StateTensor: Sendable, Equatable {
    /// Its name in files: unlike others of the memory, and beginning with neither "window." nor "kept.".
    public let name: String
    /// Extents, outermost first, without that of the sequences.
    public let extents: [Int]
    /// What its elements are.
    public let element: Element
    /// Whether a single token that is not trained on leaves it where it stands, written in place. Of others a step that is recorded
    /// on a GPU copies what a call has made to there.
    public let isUpdatedInPlace: Bool

    /// The elements of a state's tensor.
    public enum Element: Sendable {
        /// float32, whatever the device: for sums over many tokens.
        case float32
        /// As the device's activations are: for tokens that are held as they came, an even number of elements.
        case activation

        func dtype(on device: Device) -> DType { self == .float32 ? .float32 : device.traits.precision.dtype }
    }

    /// A tensor `name` of these extents.
    public init(_ name: String, _ extents: Int..., as element: Element = .float32, isUpdatedInPlace: Bool = false) {
        (self.name, self.extents, self.element, self.isUpdatedInPlace) = (name, extents, element, isUpdatedInPlace)
    }

    /// Elements of one sequence's.
    var count: Int { extents.reduce(1, *) }

    /// Bytes of one sequence's on `device`.
    func byteCount(on device: Device) -> Int { count * element.dtype(on: device).size }
}

/// The tensors (B, extents) of what a memory remembers of B sequences; or none, for whole sequences that nothing follows.
public struct MemoryTensors: Sendable {
    private let kinds: [StateTensor]
    private var values: [Tensor?]

    /// None.
    init() { (kinds, values) = ([], []) }

    private init(kinds: [StateTensor], values: [Tensor?]) { (self.kinds, self.values) = (kinds, values) }

    /// Those of `rows` sequences that have not begun.
    init(_ kinds: [StateTensor], rows: Int, on device: Device) throws {
        self.kinds = kinds
        values = try kinds.map { try .zeros([rows] + $0.extents, $0.element.dtype(on: device), on: device) }
    }

    /// Whether there are none.
    public var isEmpty: Bool { kinds.isEmpty }

    private func index(_ name: String) -> Int? { kinds.firstIndex { $0.name == name } }

    /// The tensor called `name`, which may be written in place; nil where there is none.
    public subscript(name: String) -> Tensor? {
        get { index(name).flatMap { values[$0] } }
        _modify {
            if let index = index(name) {
                yield &values[index]
            } else {
                // Whole sequences, whose states are begun and forgotten.
                var none: Tensor?
                yield &none
            }
        }
    }

    /// Takes the tensor called `name` out, so that who gets it is the only one to hold it and writes it in place. It is to be
    /// put back.
    public mutating func take(_ name: String) -> Tensor? {
        guard let index = index(name) else { return nil }
        defer { values[index] = nil }
        return values[index]
    }

    /// Calls `reading` with the tensor called `name`, which becomes the one after the tokens; or `whole` where there is none.
    public mutating func update<Result>(
        _ name: String, _ reading: (inout Tensor) throws -> Result, whole: () throws -> Result
    ) rethrows -> Result {
        guard var tensor = take(name) else { return try whole() }
        defer { self[name] = tensor }
        return try reading(&tensor)
    }

    /// Calls `body` with the tensors, and copies what it has made anew to where they stood before.
    mutating func stayingInPlace<Result>(_ body: (inout MemoryTensors) throws -> Result) throws -> Result {
        let places = zip(kinds, values).map { kind, value in kind.isUpdatedInPlace ? nil : value }
        defer {
            for (index, place) in places.enumerated() { if let place { values[index] = place } }
        }
        let result = try body(&self)
        for case (var place?, let made?) in zip(places, values) { try place.take(made) }
        return result
    }

    /// All of them by name, in their order.
    var all: [(name: String, value: Tensor)] {
        zip(kinds, values).compactMap { kind, value in value.map { (kind.name, $0) } }
    }

    /// The same tensors after `transform`.
    func map(_ transform: (Tensor) throws -> Tensor) rethrows -> MemoryTensors {
        MemoryTensors(kinds: kinds, values: try values.map { try $0.map(transform) })
    }

    /// Takes over the elements of others, where work is recorded in these tensors' own memory.
    mutating func take(_ others: MemoryTensors) throws {
        for (index, other) in others.values.enumerated() {
            if let other { try values[index]?.take(other) }
        }
    }

    /// Row `row` of each takes over the elements of others of one sequence.
    mutating func put(_ others: MemoryTensors, at row: Int) throws {
        for (own, other) in zip(values, others.values) {
            guard var place = try own?.rows(row..<row + 1), let other else { continue }
            try place.take(other)
        }
    }

    /// Binds the tensors to those that stand for them in row `row` of a step.
    mutating func bind(to places: MemoryTensors, row: Int) throws {
        for index in values.indices {
            guard let place = places.values.indices.contains(index) ? places.values[index] : nil else { continue }
            try values[index]?.bind(to: place, row: row)
        }
    }

    /// The elements of each of `heads` heads of one sequence, of the tensors that are by heads.
    func perHead(_ heads: Int) throws -> [[Float]] {
        var all = [[Float]](repeating: [], count: heads)
        for (kind, value) in zip(kinds, values) where kind.extents.first == heads {
            guard let elements = try value?.floats() else { continue }
            let width = elements.count / heads
            for head in 0..<heads { all[head] += elements[head * width..<(head + 1) * width] }
        }
        return all
    }

    var byteCount: Int { values.reduce(0) { $0 + ($1?.byteCount ?? 0) } }
}

extension Tensor {
    /// The elements as they are computed with, wherever they are.
    func floats() throws -> [Float] { try to(.cpu).converted(to: .float32).array() }

    /// A tensor of its own with the elements of one row, (1, ...).
    func taken(_ row: Int) throws -> Tensor {
        var copy = try Tensor.empty([1] + shape.dropFirst(), dtype, on: device)
        try copy.take(rows(row..<row + 1))
        return copy
    }
}
