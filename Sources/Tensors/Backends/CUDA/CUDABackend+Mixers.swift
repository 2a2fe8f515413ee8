extension CUDABackend {
    // MARK: Softmax attention

    /// Bytes of a shared tile of 64 `tiles` + `others` rows of heads of `dim`, in units of the kernels' comments.
    private func tileBytes(_ tiles: Int, _ dim: Int) -> Int { 128 * tiles * ((dim + 15) / 16 * 16 + 8) }

    private func requireHeadDim(_ k: Tensor, _ v: Tensor) throws {
        guard k.shape[3] == v.shape[3], k.shape[3] <= 256 else {
            throw TensorError.device(
                "attention on a GPU needs keys and values of one width up to 256; found \(k.shape[3]) and \(v.shape[3])"
            )
        }
    }

    /// The last argument of a kernel's template, where scores are capped.
    func variant(_ cap: Float?) -> String { cap == nil ? "" : ",true" }

    /// A span as the kernels take it.
    private struct Seen {
        /// 0 for none: a window that hides no key of so many is none, and may not fit 32 bits.
        let window: Int
        /// Seen beyond the window.
        let sinks: Int
        var hasSinks: Bool { sinks > 0 }

        init(_ span: AttentionSpan, of keys: Int) {
            window = span.window.map { $0 < keys ? $0 : 0 } ?? 0
            sinks = window > 0 ? span.sinks : 0
        }
    }

    public func attention(
        q: Tensor, k: Tensor, v: Tensor, scale: Float, cap: Float?, span: AttentionSpan, sinkQueries: Tensor?,
        documents: Documents?
    ) throws -> (result: Tensor, saved: Tensor?) {
        try requireHeadDim(k, v)
        let (batch, tokens, heads, dim) = (q.shape[0], q.shape[1], k.shape[2], q.shape[3])
        let group = q.shape[2] / heads
        let (result, logSums) = (try empty(q.shape), try empty([batch, q.shape[2], tokens], .float32))
        // A small window hides most of wide tiles.
        let isNarrow = dim > 128 || (span.window ?? .max) < 256
        let (tiles, step) = (isNarrow ? 1 : 2, isNarrow ? 32 : 64)
        let (rows, seen) = (64 * tiles, Seen(span, of: k.shape[1]))
        try device.launch(
            "attention.cu", "attention_forward<\(dim),\(group),\(tiles),\(step),\(seen.hasSinks)\(variant(cap))>",
            grid: ((tokens * group + rows - 1) / rows, heads, batch), block: (128, 1),
            shared: tileBytes(tiles + (dim > 128 ? 2 : 4), dim),
            [
                .tensor(q), .tensor(k), .tensor(v),
                .tensor(try documents?.firstPositions(length: k.shape[1], on: place)), .tensor(result),
                .tensor(logSums), .int(tokens), .int(k.shape[1]), .int(heads), .int(seen.window), .int(seen.sinks),
                .tensor(sinkQueries), .float(scale), .float(cap ?? 0),
            ])
        return (result, logSums)
    }

    public func attentionBackward(
        _ gradient: Tensor, q: Tensor, k: Tensor, v: Tensor, output: Tensor, saved: Tensor?, scale: Float,
        cap: Float?, span: AttentionSpan, documents: Documents?
    ) throws -> (q: Tensor, k: Tensor, v: Tensor) {
        let (batch, tokens, heads, dim) = (q.shape[0], q.shape[1], k.shape[2], q.shape[3])
        let (group, keys) = (q.shape[2] / heads, k.shape[1])
        let logSums =
            try saved
            ?? attention(
                q: q, k: k, v: v, scale: scale, cap: cap, span: span, sinkQueries: nil, documents: documents
            ).saved
        let starts = try documents?.firstPositions(length: keys, on: place)
        let results = (q: try empty(q.shape), k: try empty(k.shape), v: try empty(v.shape))
        let dots = try empty([batch, q.shape[2], tokens], .float32)
        let tiles = dim > 64 || (span.window ?? .max) < 256 ? 1 : 2
        let (rows, seen) = (64 * tiles, Seen(span, of: keys))
        let shared = 2 * tileBytes(tiles + (dim > 128 ? 1 : 2), dim)
        try device.launch(
            "attention_backward.cu",
            "attention_query_gradient<\(dim),\(group),\(tiles),\(seen.hasSinks)\(variant(cap))>",
            grid: ((tokens * group + rows - 1) / rows, heads, batch), block: (128, 1), shared: shared,
            [
                .tensor(q), .tensor(k), .tensor(v), .tensor(output), .tensor(gradient), .tensor(starts),
                .tensor(logSums), .tensor(dots), .tensor(results.q), .int(tokens), .int(keys), .int(heads),
                .int(seen.window), .int(seen.sinks), .float(scale), .float(cap ?? 0),
            ])
        // Wide heads are cut into slices of columns.
        let steps = (dim + 15) / 16
        let slices = (1...steps).first { steps % $0 == 0 && steps / $0 <= 8 } ?? steps
        // What sinks get from positions of other blocks than their own.
        let partCount = seen.hasSinks ? (keys + rows - 1) / rows - 1 : 0
        let parts = partCount > 0 ? try empty([batch, heads, partCount, 2, seen.sinks, dim], .float32) : nil
        if let parts {
            try device.launch(
                "attention_backward.cu", "attention_sink_gradients<\(dim),\(group)\(variant(cap))>",
                grid: (partCount, heads * slices * ((seen.sinks + 15) / 16), batch), block: (128, 1),
                shared: 576 * (steps * 16 + 8),
                [
                    .tensor(q), .tensor(k), .tensor(v), .tensor(gradient), .tensor(starts), .tensor(logSums),
                    .tensor(dots), .tensor(parts), .int(tokens), .int(keys), .int(heads), .int(seen.window),
                    .int(seen.sinks), .int(rows), .float(scale), .float(cap ?? 0),
                ])
            try device.launch(
                "attention_backward.cu", "attention_sink_sums<\(dim)>",
                grid: (partCount, (2 * seen.sinks * dim + 63) / 64, batch * heads), block: (64, 8),
                [
                    .tensor(parts), .tensor(starts), .int(tokens), .int(keys), .int(heads), .int(seen.sinks),
                    .int(rows),
                ])
        }
        try device.launch(
            "attention_backward.cu",
            "attention_key_gradients<\(dim),\(group),\(tiles),\(seen.hasSinks)\(variant(cap))>",
            grid: ((keys + rows - 1) / rows, heads * slices, batch), block: (128, 1), shared: shared + 1024,
            [
                .tensor(q), .tensor(k), .tensor(v), .tensor(gradient), .tensor(starts), .tensor(logSums),
                .tensor(dots), .tensor(parts), .tensor(results.k), .tensor(results.v), .int(tokens), .int(keys),
                .int(heads), .int(seen.window), .int(seen.sinks), .float(scale), .float(cap ?? 0),
            ])
        return results
    }

    // MARK: Gated Slot Attention

    /// Sizes of one call, and what follows from them.
    private struct SlotShape {
        let batch, tokens, heads, group, keyDim, valueDim, slots: Int

        init(_ q: Tensor, _ k: Tensor, _ v: Tensor, slots: Int) {
            (batch, tokens, heads) = (q.shape[0], q.shape[1], k.shape[2])
            (group, keyDim, valueDim) = (q.shape[2] / k.shape[2], k.shape[3], v.shape[3])
            self.slots = slots
        }

        init(_ q: Tensor, _ k: Tensor, _ v: Tensor, _ logGates: Tensor) { self.init(q, k, v, slots: logGates.shape[3]) }

        var paddedSlots: Int { (slots + 15) / 16 * 16 }
        var width: Int { keyDim + valueDim }
        static let sharedLimit = 227 << 10

        func writeBytes(_ chunk: Int) -> Int {
            chunk * (width + 8) * 2 + chunk * (paddedSlots + 8) * 2 + chunk / 16 * paddedSlots * 4
        }

        /// Whether two warps of `gsa_outputs` share a block of tokens.
        var halved: Bool { width > 128 }

        func outputBytes(_ chunk: Int) -> Int { readingBytes(chunk) + (halved ? chunk * (paddedSlots + 4) * 4 : 0) }

        /// Inputs, states and gates of what reads them.
        private func readingBytes(_ chunk: Int) -> Int {
            (chunk + paddedSlots) * (width + 8) * 2 + chunk * (paddedSlots + 8) * 6 + chunk / 16 * paddedSlots * 8
                + chunk * 4
        }

        func readGradientBytes(_ chunk: Int) -> Int {
            let replacing = group == 1 && keyDim <= valueDim && paddedSlots >= chunk
            return readingBytes(chunk) + chunk * (paddedSlots + 4) * 4 + (replacing ? 0 : chunk * (width + 8) * 2)
        }

        func writeGradientBytes(_ chunk: Int) -> Int {
            (chunk + max(paddedSlots, chunk)) * (width + 8) * 2 + chunk * (paddedSlots + 4) * 8
                + chunk * (paddedSlots + 8) * 2 + (3 * chunk / 16 + 2) * paddedSlots * 4 + chunk * 4
        }

        /// The longest chunk whose tiles fit a block's shared memory.
        func chunk() throws -> Int {
            let fitting = [64, 32, 16].first {
                max(readGradientBytes($0), writeGradientBytes($0)) <= Self.sharedLimit
            }
            guard let fitting, keyDim % 16 == 0, valueDim % 16 == 0 else {
                throw TensorError.device(
                    "gatedSlotAttention on a GPU needs key and value widths that are multiples of 16 and tiles that fit "
                        + "\(Self.sharedLimit) bytes; found K \(keyDim), V \(valueDim), M \(slots), \(group) query heads a group"
                )
            }
            return fitting
        }

        func sizes(_ chunk: Int) -> String { "\(keyDim),\(valueDim),\(slots),\(chunk)" }
        func chunks(_ chunk: Int) -> Int { (tokens + chunk - 1) / chunk }
    }

    /// Fails where tokens of a prompt would.
    func requireSlotTiles(_ q: Tensor, _ k: Tensor, _ v: Tensor, slots: Int) throws {
        _ = try SlotShape(q, k, v, slots: slots).chunk()
    }

    /// Scans `states` from chunk to chunk in place; see the kernel.
    private func scan(
        _ shape: SlotShape, chunks: Int, states: Tensor, keeps: Tensor, from: GatedSlotState?, to: GatedSlotState?,
        reversed: Bool
    ) throws {
        let items = shape.paddedSlots * shape.width / 8
        try device.launch(
            "gated_slot_attention.cu",
            "gsa_scan_states<\(shape.keyDim),\(shape.valueDim),\(shape.slots),\(reversed)>",
            grid: ((items + 127) / 128, shape.heads, shape.batch), block: (128, 1),
            [
                .tensor(states), .tensor(keeps), .tensor(from?.keys), .tensor(from?.values), .tensor(to?.keys),
                .tensor(to?.values), .int(chunks),
            ])
    }

    public func gatedSlotAttention(
        q: Tensor, k: Tensor, v: Tensor, logGates: Tensor, scale: Float, state: inout GatedSlotState?,
        documents: Documents?
    ) throws -> (result: Tensor, saved: [Tensor]) {
        if q.shape[1] == 1, var running = state.take() {
            defer { state = running }
            _ = try SlotShape(q, k, v, logGates).chunk()
            let result = try slotStep(
                q: q, k: k, v: v, gates: logGates, divisor: 1, scale: scale, state: &running)
            return (result, [])
        }
        return try gatedSlotChunks(
            q: q, k: k, v: v, logGates: logGates, scale: scale, state: &state, documents: documents)
    }

    /// The form for many tokens, whose states at the chunks' boundaries the gradients need.
    private func gatedSlotChunks(
        q: Tensor, k: Tensor, v: Tensor, logGates: Tensor, scale: Float, state: inout GatedSlotState?,
        documents: Documents?
    ) throws -> (result: Tensor, saved: [Tensor]) {
        let shape = SlotShape(q, k, v, logGates)
        let chunk = try shape.chunk()
        let chunks = shape.chunks(chunk)
        let starts = try documents?.firstPositions(length: shape.tokens, on: place)
        let states = try empty([shape.batch, shape.heads, chunks, shape.paddedSlots, shape.width])
        let keeps = try empty([shape.batch, shape.heads, chunks, shape.paddedSlots], .float32)
        let grid = (chunks, shape.heads, shape.batch)
        try device.launch(
            "gated_slot_attention.cu", "gsa_chunk_writes<\(shape.sizes(chunk))>", grid: grid, block: (256, 1),
            shared: shape.writeBytes(chunk),
            [
                .tensor(k), .tensor(v), .tensor(logGates), .tensor(starts), .tensor(states), .tensor(keeps),
                .int(shape.tokens),
            ])
        let final = try state.map {
            GatedSlotState(keys: try empty($0.keys.shape, .float32), values: try empty($0.values.shape, .float32))
        }
        try scan(shape, chunks: chunks, states: states, keeps: keeps, from: state, to: final, reversed: false)
        let result = try empty(Array(q.shape.dropLast()) + [shape.valueDim])
        try device.launch(
            "gated_slot_attention.cu", "gsa_outputs<\(shape.sizes(chunk))>", grid: grid,
            block: (shape.halved || shape.group > 1 ? 4 * chunk : 2 * chunk, 1), shared: shape.outputBytes(chunk),
            [
                .tensor(q), .tensor(k), .tensor(v), .tensor(logGates), .tensor(starts), .tensor(states),
                .tensor(result), .int(shape.tokens), .int(shape.group), .float(scale),
            ])
        state = final
        return (result, [states, keeps])
    }

    public func gatedSlotAttentionBackward(
        _ gradient: Tensor, q: Tensor, k: Tensor, v: Tensor, logGates: Tensor, scale: Float, initial: GatedSlotState?,
        finalGradient: GatedSlotState?, documents: Documents?, saved: [Tensor]
    ) throws -> GatedSlotGradients {
        let shape = SlotShape(q, k, v, logGates)
        let chunk = try shape.chunk()
        let chunks = shape.chunks(chunk)
        let starts = try documents?.firstPositions(length: shape.tokens, on: place)
        let saved =
            try saved.isEmpty
            ? {
                var state = initial
                return try gatedSlotChunks(
                    q: q, k: k, v: v, logGates: logGates, scale: scale, state: &state, documents: documents
                ).saved
            }() : saved
        let (states, keeps) = (saved[0], saved[1])
        let results = (q: try empty(q.shape), k: try empty(k.shape), v: try empty(v.shape))
        let gateGradient = try empty(logGates.shape, .float32)
        let contributions = try empty(states.shape)
        let padded = shape.paddedSlots
        let spreads = try empty(Array(q.shape.dropLast()) + [2 * padded])
        let balance = try empty([shape.batch, shape.tokens, shape.heads, padded], .float32)
        let grid = (chunks, shape.heads, shape.batch)
        try device.launch(
            "gated_slot_attention_read_gradients.cu", "gsa_read_gradients<\(shape.sizes(chunk)),\(shape.group == 1)>",
            grid: grid, block: (4 * chunk, 1), shared: shape.readGradientBytes(chunk),
            [
                .tensor(q), .tensor(k), .tensor(v), .tensor(logGates), .tensor(starts), .tensor(states),
                .tensor(gradient), .tensor(results.q), .tensor(spreads), .tensor(balance), .tensor(contributions),
                .int(shape.tokens), .int(shape.group), .float(scale),
            ])
        let initialGradient = try initial.map {
            GatedSlotState(keys: try empty($0.keys.shape, .float32), values: try empty($0.values.shape, .float32))
        }
        try scan(
            shape, chunks: chunks, states: contributions, keeps: keeps, from: finalGradient, to: initialGradient,
            reversed: true)
        try device.launch(
            "gated_slot_attention_write_gradients.cu", "gsa_write_gradients<\(shape.sizes(chunk))>", grid: grid,
            block: (4 * chunk, 1), shared: shape.writeGradientBytes(chunk),
            [
                .tensor(q), .tensor(k), .tensor(v), .tensor(logGates), .tensor(starts), .tensor(states),
                .tensor(keeps), .tensor(gradient), .tensor(spreads), .tensor(balance), .tensor(contributions),
                .tensor(results.k), .tensor(results.v), .tensor(gateGradient), .int(shape.tokens), .int(shape.group),
            ])
        return GatedSlotGradients(
            q: results.q, k: results.k, v: results.v, logGates: gateGradient, initial: initialGradient)
    }
}
