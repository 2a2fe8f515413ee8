import Checkpoints
import Tensors

/// A model's parameters by name, checked against its rules.
public struct Parameters: Sendable {
    private var tensors: [String: Tensor] = [:]

    /// Loads every parameter of `rules` from `checkpoint`.
    /// - Parameter dtype: the element type to load weights as; nil keeps the stored type. Vectors (norms and biases)
    ///   and routers are always float32.
    /// - Throws: ``ModelError`` when a tensor is missing or has another shape, or the checkpoint's own error.
    public init(_ rules: [ParameterRule], from checkpoint: some Checkpoint, as dtype: DType? = nil) throws {
        for rule in rules {
            guard let stored = checkpoint.description(of: rule.name) else {
                throw ModelError.missingParameter(name: rule.name, path: checkpoint.path)
            }
            guard stored.shape == rule.shape else {
                throw ModelError.parameterShape(
                    name: rule.name, path: checkpoint.path, expected: rule.shape, found: stored.shape)
            }
            let wanted = rule.isWide ? .float32 : dtype ?? (stored.format.dtype == .float64 ? .float32 : nil)
            tensors[rule.name] = try checkpoint.load(rule.name, as: wanted)
        }
    }

    /// Parameters that are in memory already, such as those of a conversion or a test.
    public init(_ tensors: [String: Tensor]) { self.tensors = tensors }

    var byteCount: Int { tensors.values.reduce(0) { $0 + $1.byteCount } }

    /// These parameters and `others`, which come before those of the same names.
    func replacing(_ others: Parameters) -> Parameters {
        Parameters(tensors.merging(others.tensors) { $1 })
    }

    /// The parameter `name`.
    public subscript(_ name: String) -> Tensor {
        get throws {
            guard let tensor = tensors[name] else { throw ModelError.missingParameter(name: name, path: "model") }
            return tensor
        }
    }

    /// The same on `device`, matrices in the type that its products read; vectors stay float32.
    public func to(_ device: Device) throws -> Parameters { try to(device) { _ in nil } }

    /// - Parameter memory: where a parameter is to lie there; see `Tensor.to(_:in:)`.
    func to(_ device: Device, in memory: (_ name: String) -> MemoryKind?) throws -> Parameters {
        let type = device.traits.weightType
        return Parameters(
            try Dictionary(
                uniqueKeysWithValues: tensors.map { name, tensor in
                    let typed = tensor.rank > 1 ? try tensor.converted(to: type(tensor.dtype)) : tensor
                    return (name, try typed.to(device, in: memory(name)))
                }))
    }

    /// Those of `rules`.
    func of(_ rules: [ParameterRule]) throws -> Parameters {
        Parameters(try Dictionary(uniqueKeysWithValues: rules.map { ($0.name, try self[$0.name]) }))
    }

    /// Whether some lie in the host's memory, though not on the processor.
    var areInHostMemory: Bool { tensors.values.contains { $0.memory == .host } }

    /// A linear map's weight `prefix.weight`, where `hasBias` `prefix.bias`, and the adapter that stands beside it, if any.
    public func linear(_ prefix: String, hasBias: Bool = false) throws -> Linear {
        Linear(
            name: prefix, weight: try self["\(prefix).weight"], bias: hasBias ? try self["\(prefix).bias"] : nil,
            adapter: adapter(prefix))
    }
}

/// A linear map: weight (O, I) and an optional bias (O).
public struct Linear: Sendable {
    /// The parameters' common prefix.
    public let name: String
    /// (O, I): float32, half-precision or quantised, as it was loaded.
    public let weight: Tensor
    /// (O), float32; nil for none.
    public let bias: Tensor?
    /// What a stage of training learns beside the weight; nil for nothing.
    public let adapter: LowRankAdapter?
}

extension Tensor {
    /// Several linear maps of the same input, in one pass over it: x (..., I) → (..., O).
    func linear(_ maps: [Linear], _ context: MixerContext) throws -> [Tensor] {
        try context.linearInputs?.add(self, to: maps)
        // The narrow products of adapters read the same input, in the same pass.
        let adapters = maps.compactMap(\.adapter)
        let products = try linear(
            maps.map(\.weight) + adapters.map(\.down), biases: maps.map(\.bias) + adapters.map { _ in nil })
        var narrow = products[maps.count...]
        return try zip(maps, products).map { map, product in
            guard let adapter = map.adapter, let inner = narrow.popFirst() else { return product }
            return try inner.linear(adapter.up, bias: nil, addedTo: product)
        }
    }
}
