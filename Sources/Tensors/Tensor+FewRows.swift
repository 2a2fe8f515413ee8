/// Operations with what stands before or after them: for few rows on a GPU in one launch, else one after the other.
extension Tensor {
    /// Several linear maps of what `norm` makes of self (..., I), (..., O) each: ``normalised(_:)``, then ``linear(_:biases:)``.
    /// - Returns: nil where there is nothing faster than that.
    package func fewRowsLinear(
        after norm: Normalisation?, _ weights: [Tensor], biases: [Tensor?], addedTo sum: Tensor? = nil
    ) throws -> [Tensor]? {
        guard let backend = fewRowsBackend(norm, weights, biases) else { return nil }
        if let sum {
            guard weights.count == 1, sum.shape == Array(shape.dropLast()) + [weights[0].shape[0]], sum.dtype == dtype,
                sum.device == device, !sum.isRecorded
            else { return nil }
        }
        return try backend.fewRows(self, norm: norm, weights: weights, biases: biases, addedTo: sum)
    }

    /// ``gated(_:gate:up:)`` of two linear maps of what `norm` makes of self.
    /// - Returns: nil where there is nothing faster than that.
    package func fewRowsGated(
        after norm: Normalisation?, _ activation: Activation, gate: (weight: Tensor, bias: Tensor?),
        up: (weight: Tensor, bias: Tensor?)
    ) throws -> Tensor? {
        guard gate.weight.shape == up.weight.shape,
            let backend = fewRowsBackend(norm, [gate.weight, up.weight], [gate.bias, up.bias])
        else { return nil }
        return try backend.fewRowsGated(self, norm: norm, activation, gate: gate, up: up)
    }

    /// sum + map(self), of self (..., I), a weight (O, I), a bias (O) and a sum (..., O).
    public func linear(_ weight: Tensor, bias: Tensor?, addedTo sum: Tensor) throws -> Tensor {
        try fewRowsLinear(after: nil, [weight], biases: [bias], addedTo: sum)?[0]
            ?? sum.adding(linear([weight], biases: [bias])[0])
    }

    /// The backend that may have a faster form; arguments that do not fit are left to the operations, which say so.
    private func fewRowsBackend(
        _ norm: Normalisation?, _ weights: [Tensor], _ biases: [Tensor?]
    ) -> (any FusingBackend)? {
        guard let backend = storage.runtime.fusing, let inputs = shape.last, !isRecorded else { return nil }
        // Of a GPU's types those in which few rows are computed.
        guard storage.captured != nil || dtype == .bfloat16 && weights.allSatisfy({ $0.dtype == .bfloat16 }) else {
            return nil
        }
        func fits(_ parameter: Tensor?, _ shape: [Int], _ dtype: DType) -> Bool {
            guard let parameter else { return true }
            return parameter.shape == shape && parameter.dtype == dtype && parameter.device == device
                && !parameter.isRecorded
        }
        guard norm?.kind != .layer, fits(norm?.weight, [inputs], .float32), weights.count == biases.count else {
            return nil
        }
        let isServed = zip(weights, biases).allSatisfy { weight, bias in
            weight.rank == 2 && fits(weight, [weight.shape[0], inputs], weight.dtype)
                && fits(bias, [weight.shape[0]], .float32)
        }
        return isServed ? backend : nil
    }

    /// ``rope(cosines:sines:offset:documents:)`` of queries and keys at the same places.
    public static func rope(
        q: Tensor, k: Tensor, cosines: Tensor, sines: Tensor, offset: Int, documents: Documents? = nil
    ) throws -> (q: Tensor, k: Tensor) {
        guard let backend = q.storage.runtime.recording, !q.isRecorded, !k.isRecorded, q.rank == 4, k.rank == 4,
            q.shape[..<2] == k.shape[..<2], q.shape[3] == k.shape[3], q.shape[3] % 2 == 0, k.device == q.device,
            q.dtype == .bfloat16, k.dtype == .bfloat16, cosines.rank == 2, cosines.shape[1] == q.shape[3] / 2,
            sines.shape == cosines.shape, cosines.dtype == .float32, sines.dtype == .float32,
            cosines.device == q.device, sines.device == q.device, (0...cosines.shape[0]).contains(offset),
            cosines.shape[0] - offset >= q.shape[1]
        else {
            return (
                try q.rope(cosines: cosines, sines: sines, offset: offset, documents: documents),
                try k.rope(cosines: cosines, sines: sines, offset: offset, documents: documents)
            )
        }
        return try backend.rope(q: q, k: k, cosines: cosines, sines: sines, offset: offset, documents: documents)
    }

    /// Gated Slot Attention whose log gates are logsigmoid(gates) / divisor, gates (B, T, N · M), of M slots: see
    /// ``gatedSlotAttention(q:k:v:logGates:scale:state:documents:)`` and ``logGate(divisor:)``.
    public static func gatedSlotAttention(
        q: Tensor, k: Tensor, v: Tensor, gates: Tensor, divisor: Float, scale: Float, state: inout GatedSlotState,
        documents: Documents? = nil
    ) throws -> Tensor {
        if q.rank == 4, q.shape[1] == 1, documents == nil, let backend = q.storage.runtime.fusing,
            fitsStep(q, k, v, gates, state)
        {
            return try backend.gatedSlotStep(
                q: q, k: k, v: v, gates: gates, divisor: divisor, scale: scale, state: &state)
        }
        return try gatedSlotAttention(
            q: q, k: k, v: v, logGates: logGates(gates, divisor, k), scale: scale, state: &state, documents: documents)
    }

    /// The same for whole sequences: from the empty state, and without the final one.
    public static func gatedSlotAttention(
        q: Tensor, k: Tensor, v: Tensor, gates: Tensor, divisor: Float, scale: Float, documents: Documents? = nil
    ) throws -> Tensor {
        try gatedSlotAttention(
            q: q, k: k, v: v, logGates: logGates(gates, divisor, k), scale: scale, documents: documents)
    }

    /// (B, T, N · M) → (B, T, N, M).
    private static func logGates(_ gates: Tensor, _ divisor: Float, _ k: Tensor) throws -> Tensor {
        let slots = k.rank == 4 && k.shape[2] > 0 ? (gates.shape.last ?? 0) / k.shape[2] : 0
        return try gates.logGate(divisor: divisor).reshaped(
            gates.shape.dropLast() + k.shape.dropFirst(2).prefix(1) + [slots])
    }

    private static func fitsStep(
        _ q: Tensor, _ k: Tensor, _ v: Tensor, _ gates: Tensor, _ state: GatedSlotState
    ) -> Bool {
        let all = [q, k, v, gates]
        guard k.rank == 4, v.rank == 4, gates.rank == 3, state.keys.rank == 4, state.values.rank == 4 else {
            return false
        }
        let (rows, heads, slots) = (q.shape[0], k.shape[2], state.keys.shape[2])
        return all.allSatisfy { $0.dtype == q.dtype && $0.device == q.device && !$0.isRecorded }
            && (q.dtype == .bfloat16 || q.storage.captured != nil)
            && [state.keys, state.values].allSatisfy { $0.device == q.device && !$0.isRecorded }
            && k.shape == [rows, 1, heads, q.shape[3]] && v.shape[..<3] == [rows, 1, heads] && heads > 0
            && q.shape[2] % heads == 0 && gates.shape == [rows, 1, heads * slots]
            && state.keys.shape == [rows, heads, slots, q.shape[3]]
            && state.values.shape == [rows, heads, slots, v.shape[3]]
    }
}
