extension CUDABackend: RecordingBackend {
    func angles(
        _ positions: Tensor, frequencies: Tensor, farthest: Int, factor: Float, trained: Int, most: Int,
        cosines: Tensor,
        sines: Tensor
    ) throws {
        try device.launch(
            "rope.cu", "rotary_angles", grid: ((cosines.count + 255) / 256, 1, 1),
            [
                .tensor(positions), .tensor(frequencies), .tensor(cosines), .tensor(sines), .int(cosines.shape[0]),
                .int(cosines.shape[1]), .int(farthest), .float(factor), .int(trained), .int(most),
            ])
    }

    // MARK: Gated Slot Attention, a token

    func gatedSlotStep(
        q: Tensor, k: Tensor, v: Tensor, gates: Tensor, divisor: Float, scale: Float, state: inout GatedSlotState
    ) throws -> Tensor {
        try requireSlotTiles(q, k, v, slots: state.keys.shape[2])
        return try slotStep(q: q, k: k, v: v, gates: gates, divisor: divisor, scale: scale, state: &state)
    }

    /// One token of each sequence, T = 1: `state` is updated in place, where nobody else holds it.
    /// - Parameter gates: log gates, float32, or bfloat16 as ``RecordingBackend`` has them.
    func slotStep(
        q: Tensor, k: Tensor, v: Tensor, gates: Tensor, divisor: Float, scale: Float, state: inout GatedSlotState
    ) throws -> Tensor {
        let (rows, heads, keyDim) = (q.shape[0], k.shape[2], k.shape[3])
        let (group, valueDim, slots) = (q.shape[2] / heads, v.shape[3], state.keys.shape[2])
        let type = gates.dtype == .float32 ? "float" : "bf16"
        try state.keys.makeUnique()
        try state.values.makeUnique()
        let result = try empty(q.shape.dropLast() + [valueDim])
        try device.launch(
            "gated_slot_attention_step.cu", "gsa_step<\(keyDim),\(valueDim),\(slots),\(group),\(type)>",
            grid: (heads, rows, 1),
            shared: 4 * ((group + 1) * keyDim + valueDim + (group + 1) * slots + 1024 * group),
            [
                .tensor(q), .tensor(k), .tensor(v), .tensor(gates), .tensor(state.keys), .tensor(state.values),
                .tensor(result), .float(scale), .float(divisor),
            ])
        return result
    }

    // MARK: Softmax attention over a cache

    /// Parts of a cache of `capacity` tokens that blocks read at the same time: enough blocks for every multiprocessor,
    /// and enough keys for every block.
    private func stepParts(rows: Int, heads: Int, capacity: Int) -> Int {
        max(1, min(512 / (rows * heads), (capacity + 255) / 256))
    }

    func attentionStep(
        q: Tensor, k: Tensor, v: Tensor, keys: Tensor, values: Tensor, sinks: Int, sinkQueries: Tensor?,
        positions: Tensor, scale: Float, cap: Float?, mixture: HeadMixture?
    ) throws -> Tensor {
        let (rows, heads, dim, capacity) = (q.shape[0], k.shape[2], q.shape[3], keys.shape[2])
        let group = q.shape[2] / heads
        let parts = stepParts(rows: rows, heads: heads, capacity: capacity)
        let result = try empty(q.shape)
        let partial = parts > 1 ? try empty([rows, heads, parts, group, dim + 2], .float32) : nil
        try device.launch(
            "attention_step.cu", "attention_step<\(dim),\(group),\(sinkQueries != nil)\(variant(cap))>",
            grid: (parts, heads, rows),
            shared: 32 * group * (dim + 2),
            [
                .tensor(q), .tensor(k), .tensor(v), .tensor(keys), .tensor(values), .tensor(positions),
                .tensor(result), .tensor(partial), .int(capacity), .int(sinks), .tensor(sinkQueries),
                .tensor(mixture?.other), .tensor(mixture?.logits), .float(scale), .float(cap ?? 0),
            ])
        if let partial {
            try device.launch(
                "attention_step.cu", "attention_step_combine<\(dim),\(group)>", grid: (group, heads, rows),
                block: ((dim + 31) / 32 * 32, 1),
                [
                    .tensor(partial), .tensor(result), .tensor(mixture?.other), .tensor(mixture?.logits), .int(parts),
                ])
        }
        return result
    }

    func read(_ cache: Tensor, sinks: Int, past: Int, then x: Tensor, position: Int) throws -> Tensor {
        let (rows, tokens, heads, dim) = (x.shape[0], x.shape[1], x.shape[2], x.shape[3])
        let result = try empty([rows, past + tokens, heads, dim])
        let items = rows * (past + tokens) * heads * ((dim + 7) / 8)
        try device.launch(
            "cache.cu", "cache_read", grid: ((items + 255) / 256, 1, 1),
            [
                .tensor(cache), .tensor(x), .tensor(result), .int(rows), .int(past), .int(tokens), .int(heads),
                .int(dim), .int(cache.shape[2]), .int(sinks), .long(position),
            ])
        return result
    }

    func write(_ x: Tensor, to cache: Tensor, sinks: Int, position: Int) throws {
        let (rows, tokens, heads, dim) = (x.shape[0], x.shape[1], x.shape[2], x.shape[3])
        let items = rows * min(tokens, cache.shape[2]) * heads * ((dim + 7) / 8)
        try device.launch(
            "cache.cu", "cache_write", grid: ((items + 255) / 256, 1, 1),
            [
                .tensor(x), .tensor(cache), .int(rows), .int(tokens), .int(heads), .int(dim), .int(cache.shape[2]),
                .int(sinks), .long(position),
            ])
    }

    // MARK: Logits

    public func logits(_ hidden: Tensor, head: Tensor, cap: Float?) throws -> Tensor {
        let result = try empty(hidden.shape.dropLast() + [head.shape[0]], .float32)
        try multiply(hidden, head, into: result)
        if let cap {
            try overElements("elementwise.cu", "cap_values", count: result.count, .tensor(result), .float(cap))
        }
        return result
    }

    public func indicesOfLargest(_ x: Tensor) throws -> Tensor {
        let ids = try empty([x.shape[0]], .int32)
        try argmax(x, into: ids)
        return ids
    }

    private func argmax(_ logits: Tensor, into ids: Tensor) throws {
        let outputs = logits.shape.last ?? 1
        try device.launch(
            "sampling.cu", "argmax<float>", grid: (ids.count, 1, 1), block: (1024, 1),
            [.tensor(logits), .tensor(ids), .int(outputs)])
    }

    func pick(_ choices: [TokenChoice], from logits: Tensor, into picked: Tensor, ids: Tensor) throws {
        let (rows, outputs) = (logits.shape[0], logits.shape[1])
        let words = try Tensor(choices.flatMap(\.words), shape: [rows, 8]).to(place)
        let length = choices.map { $0.repetitionPenalty == 1 ? 0 : $0.recent.count }.max() ?? 0
        var recent, scores: Tensor?
        if length > 0 {
            let tokens = choices.flatMap {
                $0.recent.prefix(length) + Array(repeating: 0, count: max(0, length - $0.recent.count))
            }
            recent = try Tensor(tokens, shape: [rows, length]).to(place)
            scores = try empty(logits.shape, .float32)
        }
        try device.launch(
            "sampling.cu", "pick_tokens", grid: (rows, 1, 1), block: (1024, 1),
            [
                .tensor(logits), .tensor(words), .tensor(recent), .int(length), .tensor(scores), .tensor(picked),
                .tensor(ids), .int(outputs),
            ])
    }

    func advance(_ positions: Tensor, taking: Tensor) throws {
        try device.launch(
            "sampling.cu", "advance", grid: ((positions.count + 255) / 256, 1, 1),
            [.tensor(positions), .tensor(taking), .int(positions.count)])
    }
}
