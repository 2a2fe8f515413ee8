import Tensors

/// One tensor of what a memory remembers of a sequence.
public struct StateTensor: Sendable, Equatable {
    /// Its name in files: unlike others of the memory, and beginning with neither "window." nor "kept.".
    public let name: String
    /// Extents, outermost first, without that of the sequences.
    public let extents: [Int]

    /// A tensor `name` of these extents.
    public init(_ name: String, _ extents: Int...) { (self.name, self.extents) = (name, extents) }

    /// Bytes of one sequence's.
    var byteCount: Int { extents.reduce(DType.float32.size, *) }
}

/// The tensors (B, extents), float32, of what a memory remembers of B sequences; or none, for whole sequences that nothing
/// follows.
public struct MemoryTensors: Sendable {
    private let names: [String]
    private var values: [Tensor?]

    /// None.
    init() { (names, values) = ([], []) }

    private init(names: [String], values: [Tensor?]) { (self.names, self.values) = (names, values) }

    /// Those of `rows` sequences that have not begun.
    init(_ tensors: [StateTensor], rows: Int, on device: Device) throws {
        names = tensors.map(\.name)
        values = try tensors.map { try .zeros([rows] + $0.extents, on: device) }
    }

    /// Whether there are none.
    public var isEmpty: Bool { names.isEmpty }

    /// The tensor called `name`, which may be written in place; nil where there is none.
    public subscript(name: String) -> Tensor? {
        get { names.firstIndex(of: name).flatMap { values[$0] } }
        _modify {
            if let index = names.firstIndex(of: name) {
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
        guard let index = names.firstIndex(of: name) else { return nil }
        defer { values[index] = nil }
        return values[index]
    }

    /// All of them by name, in their order.
    var all: [(name: String, value: Tensor)] {
        zip(names, values).compactMap { name, value in value.map { (name, $0) } }
    }

    /// The same tensors after `transform`.
    func map(_ transform: (Tensor) throws -> Tensor) rethrows -> MemoryTensors {
        MemoryTensors(names: names, values: try values.map { try $0.map(transform) })
    }

    /// Takes over the elements of others, where work is recorded in these tensors' own memory.
    mutating func take(_ others: MemoryTensors) throws {
        for (index, other) in others.values.enumerated() {
            if let other { try values[index]?.take(other) }
        }
    }

    var byteCount: Int { values.reduce(0) { $0 + ($1?.byteCount ?? 0) } }
}
