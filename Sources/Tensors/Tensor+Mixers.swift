/// The token mixers, checked and run as the operations of Tensor+Operations.swift are.
extension Tensor {
    /// Causal softmax attention of queries self (B, T, H, K) over k (B, S, N, K) and v (B, S, N, V) → (B, T, H, V);
    /// see ``Backend/attention(q:k:v:scale:cap:span:sinkQueries:documents:)``. With `sinkQueries` nothing may be watched.
    public func attention(
        k: Tensor, v: Tensor, scale: Float, cap: Float? = nil, span: AttentionSpan = AttentionSpan(),
        sinkQueries: Tensor? = nil, documents: Documents? = nil
    ) throws -> Tensor {
        try requireAttention("attention", k: k, v: v, cap: cap, span: span, documents: documents)
        if let sinkQueries {
            try sinkQueries.requireActivation("attention", "sinkQueries", shape.map { $0 })
            guard ![self, k, v].contains(where: \.isRecorded) else {
                throw TensorError.range(
                    operation: "attention", argument: "sinkQueries", expected: "none where gradients are asked for",
                    found: "some")
            }
        }
        let backend = try backend("attention", with: k, v, sinkQueries, documents?.rows)
        let gradientBackend = storage.runtime.gradientBackend
        let (output, saved) = try backend.attention(
            q: self, k: k, v: v, scale: scale, cap: cap, span: span, sinkQueries: sinkQueries, documents: documents)
        return output.recorded(of: self, k, v) { gradient in
            let gradients = try gradientBackend.attentionBackward(
                gradient, q: self, k: k, v: v, output: output, saved: saved, scale: scale, cap: cap, span: span,
                documents: documents)
            try variable?.add(gradients.q)
            try k.variable?.add(gradients.k)
            try v.variable?.add(gradients.v)
        }
    }

    /// Gradients of q, k and v of ``attention(k:v:scale:cap:span:sinkQueries:documents:)`` from the gradient self (B, T, H, V)
    /// of its result `output`; see ``GradientBackend/attentionBackward(_:q:k:v:output:saved:scale:cap:span:documents:)``.
    public func attentionBackward(
        q: Tensor, k: Tensor, v: Tensor, output: Tensor, scale: Float, cap: Float? = nil,
        span: AttentionSpan = AttentionSpan(), documents: Documents? = nil
    ) throws -> (q: Tensor, k: Tensor, v: Tensor) {
        let operation = "attentionBackward"
        try q.requireAttention(operation, k: k, v: v, cap: cap, span: span, documents: documents)
        let result = Array(q.shape.dropLast() + v.shape.suffix(1))
        try requireActivation(operation, "gradient", result)
        try output.requireActivation(operation, "output", result)
        return try gradientBackend(operation, with: q, k, v, output, documents?.rows).attentionBackward(
            self, q: q, k: k, v: v, output: output, saved: nil, scale: scale, cap: cap, span: span,
            documents: documents)
    }

    /// Gated Slot Attention (Zhang et al. 2024, arXiv 2409.07146): q (B, T, H, K), k (B, T, N, K), v (B, T, N, V),
    /// logGates (B, T, N, M) → (B, T, H, V). `state` is the initial state and becomes the final one;
    /// see ``Backend/gatedSlotAttention(q:k:v:logGates:scale:state:documents:)``.
    public static func gatedSlotAttention(
        q: Tensor, k: Tensor, v: Tensor, logGates: Tensor, scale: Float, state: inout GatedSlotState,
        documents: Documents? = nil
    ) throws -> Tensor {
        try requireGatedSlots("gatedSlotAttention", q: q, k: k, v: v, logGates: logGates, documents: documents)
        try state.require("gatedSlotAttention", "state", k: k, v: v, logGates: logGates)
        let backend = try q.backend(
            "gatedSlotAttention", with: k, v, logGates, state.keys, state.values, documents?.rows)
        let gradientBackend = q.storage.runtime.gradientBackend
        // Kept only for the way back: a second owner of the state would keep a step from updating it in place.
        let watched =
            [q, k, v, logGates].contains { $0.isRecorded } || state.keys.isRecorded || state.values.isRecorded
        let kept = watched ? state : nil
        var running: GatedSlotState? = state
        state = try .placeholder
        defer { if let running { state = running } }
        let (output, saved) = try backend.gatedSlotAttention(
            q: q, k: k, v: v, logGates: logGates, scale: scale, state: &running, documents: documents)
        guard let initial = kept, let final = running else { return output }
        let arguments = [q, k, v, logGates, initial.keys, initial.values]
        let results = record([output, final.keys.detached, final.values.detached], of: arguments) { gradients in
            // Where the outputs or one half of the state were not used, their gradient is zero.
            let device = q.device
            let output = try gradients[0] ?? .zeros(output.shape, output.dtype, on: device)
            let final =
                gradients[1] == nil && gradients[2] == nil
                ? nil
                : GatedSlotState(
                    keys: try gradients[1] ?? .zeros(initial.keys.shape, on: device),
                    values: try gradients[2] ?? .zeros(initial.values.shape, on: device))
            let found = try gradientBackend.gatedSlotAttentionBackward(
                output, q: q, k: k, v: v, logGates: logGates, scale: scale, initial: initial, finalGradient: final,
                documents: documents, saved: saved)
            let parts = [found.q, found.k, found.v, found.logGates, found.initial?.keys, found.initial?.values]
            for (argument, gradient) in zip(arguments, parts) {
                if let gradient { try argument.variable?.add(gradient) }
            }
        }
        running = GatedSlotState(keys: results[1], values: results[2])
        return results[0]
    }

    /// The same for whole sequences: from the empty state, and without the final one.
    public static func gatedSlotAttention(
        q: Tensor, k: Tensor, v: Tensor, logGates: Tensor, scale: Float, documents: Documents? = nil
    ) throws -> Tensor {
        try requireGatedSlots("gatedSlotAttention", q: q, k: k, v: v, logGates: logGates, documents: documents)
        let backend = try q.backend("gatedSlotAttention", with: k, v, logGates, documents?.rows)
        let gradientBackend = q.storage.runtime.gradientBackend
        var state: GatedSlotState?
        let (output, saved) = try backend.gatedSlotAttention(
            q: q, k: k, v: v, logGates: logGates, scale: scale, state: &state, documents: documents)
        return output.recorded(of: q, k, v, logGates) { gradient in
            let found = try gradientBackend.gatedSlotAttentionBackward(
                gradient, q: q, k: k, v: v, logGates: logGates, scale: scale, initial: nil, finalGradient: nil,
                documents: documents, saved: saved)
            try q.variable?.add(found.q)
            try k.variable?.add(found.k)
            try v.variable?.add(found.v)
            try logGates.variable?.add(found.logGates)
        }
    }

    /// Gradients of the inputs of ``gatedSlotAttention(q:k:v:logGates:scale:state:documents:)`` begun from `initial`, from
    /// the gradient self (B, T, H, V) of its outputs and, where it is used, that of its final state; see
    /// `GradientBackend`.
    public func gatedSlotAttentionBackward(
        q: Tensor, k: Tensor, v: Tensor, logGates: Tensor, scale: Float, initial: GatedSlotState,
        finalGradient: GatedSlotState? = nil, documents: Documents? = nil
    ) throws -> GatedSlotGradients {
        let operation = "gatedSlotAttentionBackward"
        try Tensor.requireGatedSlots(operation, q: q, k: k, v: v, logGates: logGates, documents: documents)
        try requireActivation(operation, "gradient", q.shape.dropLast() + v.shape.suffix(1))
        try initial.require(operation, "initial", k: k, v: v, logGates: logGates)
        try finalGradient?.require(operation, "finalGradient", k: k, v: v, logGates: logGates)
        let given = [
            q, k, v, logGates, initial.keys, initial.values, finalGradient?.keys, finalGradient?.values,
            documents?.rows,
        ]
        try requireDevice(operation, given)
        return try storage.runtime.gradientBackend.gatedSlotAttentionBackward(
            self, q: q, k: k, v: v, logGates: logGates, scale: scale, initial: initial, finalGradient: finalGradient,
            documents: documents, saved: [])
    }

    /// The arguments of ``attention(k:v:scale:cap:span:sinkQueries:documents:)``.
    private func requireAttention(
        _ operation: String, k: Tensor, v: Tensor, cap: Float?, span: AttentionSpan, documents: Documents?
    ) throws {
        try requireHeads(operation, k: k, v: v)
        try Tensor.requireCap(cap, operation)
        guard k.shape[1] >= shape[1] else {
            throw TensorError.shape(
                operation: operation, argument: "k", expected: "at least \(shape[1]) positions", found: k.shape)
        }
        if let window = span.window, window < 1 {
            throw TensorError.range(
                operation: operation, argument: "window", expected: "at least 1", found: "\(window)")
        }
        guard (0...AttentionSpan.mostSinks).contains(span.sinks) else {
            throw TensorError.range(
                operation: operation, argument: "sinks", expected: "0 to \(AttentionSpan.mostSinks)",
                found: "\(span.sinks)")
        }
        try Tensor.requireDocuments(documents, batch: shape[0], length: k.shape[1], operation)
    }

    /// The arguments of ``gatedSlotAttention(q:k:v:logGates:scale:state:documents:)`` but the state.
    private static func requireGatedSlots(
        _ operation: String, q: Tensor, k: Tensor, v: Tensor, logGates: Tensor, documents: Documents?
    ) throws {
        try q.requireHeads(operation, k: k, v: v)
        try k.requireShape(operation, "k", [nil, q.shape[1], nil, nil])
        try logGates.require(operation, "logGates", [k.shape[0], k.shape[1], k.shape[2], nil])
        try requireDocuments(documents, batch: q.shape[0], length: q.shape[1], operation)
    }

    /// self is (B, T, H, K), k (B, S, N, K), v (B, S, N, V), and N divides H.
    func requireHeads(_ operation: String, k: Tensor, v: Tensor) throws {
        try requireActivation(operation, "q", [nil, nil, nil, nil])
        try k.requireActivation(operation, "k", [shape[0], nil, nil, shape[3]])
        try v.requireActivation(operation, "v", [k.shape[0], k.shape[1], k.shape[2], nil])
        guard k.shape[2] > 0, shape[2] % k.shape[2] == 0 else {
            throw TensorError.shape(
                operation: operation, argument: "k", expected: "a number of heads that divides \(shape[2])",
                found: k.shape)
        }
    }
}

extension GatedSlotState {
    /// Stands where a state was taken out of.
    static var placeholder: GatedSlotState {
        get throws { try GatedSlotState(keys: .empty([0]), values: .empty([0])) }
    }

    /// The empty state that goes with k, v and logGates.
    static func empty(k: Tensor, v: Tensor, logGates: Tensor) throws -> GatedSlotState {
        try .zeros(
            batch: k.shape[0], heads: k.shape[2], slots: logGates.shape[3], keyDim: k.shape[3], valueDim: v.shape[3],
            on: k.device)
    }

    /// Keys (B, N, M, K) and values (B, N, M, V) that go with k, v and logGates.
    fileprivate func require(
        _ operation: String, _ argument: String, k: Tensor, v: Tensor, logGates: Tensor
    ) throws {
        let outer = [k.shape[0], k.shape[2], logGates.shape[3]]
        try keys.require(operation, "\(argument).keys", outer + [k.shape[3]])
        try values.require(operation, "\(argument).values", outer + [v.shape[3]])
    }
}
