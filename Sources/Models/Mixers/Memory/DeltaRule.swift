import Tensors

/// What memories have in common that replace what a key recalls (Schlag et al. 2021, arXiv 2102.11174).
enum DeltaRule {
    /// The map to β, which begins near a half.
    static func rules(_ layer: MemoryLayer) -> [ParameterRule] {
        [
            .new(
                "\(layer.prefix).beta_proj.weight", shape: [layer.keyValueHeads, layer.hiddenSize],
                .map(outputs: 0.08, norm: layer.norm)),
            .new("\(layer.prefix).beta_proj.bias", shape: [layer.keyValueHeads], .constant(0)),
        ]
    }

    static func map(_ layer: MemoryLayer, parameters: Parameters) throws -> Linear {
        try parameters.linear("\(layer.prefix).beta_proj", hasBias: true)
    }

    /// What unit queries read of a state that unit keys write to.
    /// - Parameters:
    ///   - logDecays: (B, T, n, 1) or (B, T, n, K), float32.
    ///   - logits: what goes into β's sigmoid (B, T, n).
    static func read(
        _ input: MemoryInput, logDecays: Tensor, replacing logits: Tensor, _ state: inout MemoryTensors
    ) throws -> Tensor {
        let (q, k) = try input.unitQueriesAndKeys()
        let betas = try Tensor.pointwise(logits, as: .float32) { .sigmoid($0) }
        return try MatrixState.gatedDelta(
            q: q, k: k, v: input.v, logDecays: logDecays, betas: betas, input.documents, &state)
    }
}
