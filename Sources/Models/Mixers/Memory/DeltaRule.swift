import Tensors

/// What memories have in common that replace what a key recalls (Schlag et al. 2021, arXiv 2102.11174).
struct DeltaRule: Sendable {
    private let gate: DecayGate
    /// x → what goes into β's sigmoid (n).
    private let replacing: Linear

    /// The map to β, which begins near a half.
    static func rules(_ layer: MemoryLayer) -> [ParameterRule] {
        [
            .new(
                "\(layer.prefix).beta_proj.weight", shape: [layer.keyValueHeads, layer.hiddenSize],
                .map(outputs: 0.08, norm: layer.norm)),
            .new("\(layer.prefix).beta_proj.bias", shape: [layer.keyValueHeads], .constant(0)),
        ]
    }

    init(_ layer: MemoryLayer, gate: DecayGate, parameters: Parameters) throws {
        self.gate = gate
        replacing = try parameters.linear("\(layer.prefix).beta_proj", hasBias: true)
    }

    /// The maps of the layer's input.
    var inputMaps: [Linear] { [gate.inputMap, replacing] }

    /// What unit queries read of a state that unit keys write to, where ``inputMaps`` are the memory's maps.
    func read(_ input: MemoryInput, _ state: inout MemoryTensors) throws -> Tensor {
        let (q, k) = try input.unitQueriesAndKeys()
        let betas = try Tensor.pointwise(input.maps[1], as: .float32) { .sigmoid($0) }
        return try MatrixState.gatedDelta(
            q: q, k: k, v: input.v, logDecays: gate(input, at: 0), betas: betas, input.documents, &state)
    }
}
