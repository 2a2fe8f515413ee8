/// The token mixers, checked and run as the operations of Tensor+Operations.swift are.
extension Tensor {
    /// Causal softmax attention of queries self (B, T, H, K) over k (B, S, N, K) and v (B, S, N, V) → (B, T, H, V);
    /// see ``Backend/attention(q:k:v:scale:window:documents:)``.
    public func attention(
        k: Tensor, v: Tensor, scale: Float, window: Int? = nil, documents: [Int]? = nil
    ) throws -> Tensor {
        let operation = "attention"
        try requireHeads(operation, k: k, v: v)
        guard k.shape[1] >= shape[1] else {
            throw TensorError.shape(
                operation: operation, argument: "k", expected: "at least \(shape[1]) positions", found: k.shape)
        }
        if let window, window < 1 {
            throw TensorError.range(
                operation: operation, argument: "window", expected: "at least 1", found: "\(window)")
        }
        try Tensor.requireDocuments(documents, batch: shape[0], length: k.shape[1], operation)
        return try device.backend.attention(q: self, k: k, v: v, scale: scale, window: window, documents: documents)
    }

    /// Gated Slot Attention (Zhang et al. 2024, arXiv 2409.07146): q (B, T, H, K), k (B, T, N, K), v (B, T, N, V),
    /// logGates (B, T, N, M) → (B, T, H, V). `state` is the initial state and becomes the final one;
    /// see ``Backend/gatedSlotAttention(q:k:v:logGates:scale:state:documents:)``.
    public static func gatedSlotAttention(
        q: Tensor, k: Tensor, v: Tensor, logGates: Tensor, scale: Float, state: inout GatedSlotState,
        documents: [Int]? = nil
    ) throws -> Tensor {
        let operation = "gatedSlotAttention"
        try q.requireHeads(operation, k: k, v: v)
        try k.requireShape(operation, "k", [nil, q.shape[1], nil, nil])
        try logGates.require(operation, "logGates", [k.shape[0], k.shape[1], k.shape[2], nil])
        let outer = [k.shape[0], k.shape[2], logGates.shape[3]]
        try state.keys.require(operation, "state.keys", outer + [k.shape[3]])
        try state.values.require(operation, "state.values", outer + [v.shape[3]])
        try requireDocuments(documents, batch: q.shape[0], length: q.shape[1], operation)
        return try q.device.backend.gatedSlotAttention(
            q: q, k: k, v: v, logGates: logGates, scale: scale, state: &state, documents: documents)
    }

    /// self is (B, T, H, K), k (B, S, N, K), v (B, S, N, V), and N divides H.
    private func requireHeads(_ operation: String, k: Tensor, v: Tensor) throws {
        try require(operation, "q", [nil, nil, nil, nil])
        try k.require(operation, "k", [shape[0], nil, nil, shape[3]])
        try v.require(operation, "v", [k.shape[0], k.shape[1], k.shape[2], nil])
        guard k.shape[2] > 0, shape[2] % k.shape[2] == 0 else {
            throw TensorError.shape(
                operation: operation, argument: "k", expected: "a number of heads that divides \(shape[2])",
                found: k.shape)
        }
    }
}
