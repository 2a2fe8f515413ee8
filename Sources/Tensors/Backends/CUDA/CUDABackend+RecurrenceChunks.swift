/// Recurrences over many tokens, in chunks (`chunks.cuh`), and their gradients.
extension CUDABackend {
    /// Sizes of one call, and what follows from them.
    struct RecurrenceChunks {
        let batch, tokens, heads, group, keyDim, valueDim: Int
        let hasChannels, isDelta: Bool
        /// Tokens of a chunk.
        private(set) var chunk = 64

        private static let sharedLimit = 227 << 10

        /// - Throws: ``TensorError`` for widths that the kernels do not take.
        init(_ inputs: Recurrence) throws {
            (batch, tokens, heads) = (inputs.q.shape[0], inputs.q.shape[1], inputs.k.shape[2])
            (group, keyDim, valueDim) = (inputs.q.shape[2] / heads, inputs.k.shape[3], inputs.v.shape[3])
            (hasChannels, isDelta) = (inputs.logDecays.shape[3] == keyDim, inputs.betas != nil)
            while chunk > 16, largestBytes > Self.sharedLimit { chunk /= 2 }
            guard keyDim % 16 == 0, valueDim % 16 == 0, keyDim <= 256, valueDim <= 256,
                largestBytes <= Self.sharedLimit
            else {
                throw TensorError.device(
                    "\(inputs.operation) on a GPU needs key and value widths that are multiples of 16, up to 256; found "
                        + "K \(keyDim), V \(valueDim)")
            }
        }

        var chunks: Int { (tokens + chunk - 1) / chunk }
        var grid: (Int, Int, Int) { (chunks, heads, batch) }
        var sizes: String { "\(keyDim),\(valueDim),\(chunk),\(hasChannels)" }
        /// Threads of a block that has a warp for every 16 tokens.
        var threads: Int { 2 * chunk }
        var valueParts: Int { valueDim % 32 == 0 ? 2 : 1 }
        var tableShape: [Int] { [batch, heads, chunks] + (hasChannels ? [2 * (chunk / 16) + 2, keyDim] : [chunk]) }
        var statesShape: [Int] { [batch, heads, chunks + 1, keyDim, valueDim] }

        /// Columns of the state that a block of `recurrence_scan` takes: as many as leave the card's multiprocessors a
        /// block each.
        private var slice: Int {
            var slice = [64, 32, 16].first { valueDim % $0 == 0 } ?? 16
            while slice > 16, valueDim / slice * heads * batch < 96 { slice /= 2 }
            return slice
        }

        /// How `recurrence_scan` goes: columns of the state a block, stages of its loads, as many as fit, and shared memory.
        func scan(reversed: Bool) -> (slice: Int, stages: Int, shared: Int) {
            let operands = (isDelta || reversed ? 1 : 0) + (isDelta || !reversed ? 1 : 0)
            func bytes(_ slice: Int, _ stages: Int) -> Int {
                let tile = 2 * (slice + 8)
                let stage =
                    chunk * tileRow(keyDim) * operands + chunk * tile + (reversed ? keyDim * tile : 0)
                    + 4 * ((hasChannels ? keyDim : chunk) + chunk)
                return stage * stages + (keyDim + chunk) * tile + 4 * (2 * chunk + keyDim)
            }
            var (slice, stages) = (slice, 3)
            while stages > 2, bytes(slice, stages) > Self.sharedLimit { stages -= 1 }
            while slice > 16, bytes(slice, stages) > Self.sharedLimit { slice /= 2 }
            return (slice, stages, bytes(slice, stages))
        }

        /// Bytes of a row of a shared tile.
        private func tileRow(_ width: Int) -> Int { 2 * (width + 8) }
        private var decayBytes: Int {
            hasChannels
                ? (2 * (chunk / 16) + 1) * keyDim * 4 + chunk * 4 + chunk * tileRow(keyDim) : 8 * chunk
        }
        private var rowBytes: Int { tileRow(keyDim) + tileRow(valueDim) }
        private var stateBytes: Int { keyDim * tileRow(valueDim) }

        var solveBytes: Int {
            chunk * (tileRow(keyDim) * (hasChannels ? 2 : 1) + tileRow(valueDim)) + chunk * (chunk + 4) * 4
                + chunk * tileRow(chunk) + 8 * chunk + decayBytes
        }
        var outputBytes: Int { chunk * rowBytes + stateBytes + 4 * chunk + decayBytes }
        var readBytes: Int { chunk * rowBytes + 4 * chunk + decayBytes }
        var readerBytes: Int {
            outputBytes + (isDelta ? chunk * (tileRow(valueDim) + tileRow(chunk)) : 0)
        }
        var writerBytes: Int {
            max(chunk * rowBytes, hasChannels ? chunk * (keyDim + 4) * 4 : 4 * chunk) + stateBytes + 4 * keyDim
                + 4 * chunk + decayBytes
        }
        private var largestBytes: Int {
            [solveBytes, readerBytes, writerBytes, scan(reversed: true).shared, scan(reversed: false).shared].max() ?? 0
        }
    }

    /// What the forward pass leaves for the gradients.
    private struct ChunkTensors {
        /// Sums of log decays, or tables of channels.
        let tables: Tensor
        /// Of channels: ratios, lowered keys, and keys as they reach the chunk's end (B, T, N, K).
        let ratios, lowered, ends: Tensor?
        /// Of a delta rule: Diag(β) A (B, N, chunks, C, C), W (B, T, N, K), and w (B, T, N, V).
        let solved, recalls, errors: Tensor?
        /// Before every chunk, and after the last (B, N, chunks + 1, K, V).
        let states: Tensor

        init(_ shape: RecurrenceChunks, _ inputs: Recurrence, _ empty: ([Int], DType) throws -> Tensor) throws {
            let (key, value) = (inputs.k.shape, inputs.v.shape)
            tables = try empty(shape.tableShape, .float32)
            (ratios, lowered, ends) =
                shape.hasChannels
                ? (try empty(key, .bfloat16), try empty(key, .bfloat16), try empty(key, .bfloat16)) : (nil, nil, nil)
            (solved, recalls, errors) =
                shape.isDelta
                ? (
                    try empty([shape.batch, shape.heads, shape.chunks, shape.chunk, shape.chunk], .bfloat16),
                    try empty(key, .bfloat16), try empty(value, .bfloat16)
                ) : (nil, nil, nil)
            states = try empty(shape.statesShape, .bfloat16)
        }

        init(_ shape: RecurrenceChunks, saved: [Tensor]) {
            var rest = saved[...]
            func next(_ exists: Bool = true) -> Tensor? { exists ? rest.popFirst() : nil }
            states = saved[saved.count - 1]
            tables = rest.removeFirst()
            (ratios, lowered, ends) = (next(shape.hasChannels), next(shape.hasChannels), next(shape.hasChannels))
            (solved, recalls, errors) = (next(shape.isDelta), next(shape.isDelta), next(shape.isDelta))
        }

        var saved: [Tensor] {
            [tables] + [ratios, lowered, ends, solved, recalls, errors].compactMap { $0 } + [states]
        }
    }

    /// Outputs, from `state` and to it, and what the gradients need.
    func recurrenceChunks(_ inputs: Recurrence, state: inout Tensor?) throws -> (result: Tensor, saved: [Tensor]) {
        let shape = try RecurrenceChunks(inputs)
        let starts = try inputs.documents?.firstPositions(length: shape.tokens, on: place)
        let tensors = try ChunkTensors(shape, inputs) { try empty($0, $1) }
        let (keys, ends) = (tensors.lowered ?? inputs.k, tensors.ends ?? inputs.k)
        if shape.hasChannels {
            try device.launch(
                "chunks.cu", "recurrence_decays<\(shape.keyDim),\(shape.chunk)>", grid: shape.grid,
                block: ((shape.chunk * shape.keyDim / 32 + 31) / 32 * 32, 1), shared: shape.chunk / 4 * shape.keyDim,
                [
                    .tensor(inputs.k), .tensor(inputs.logDecays), .tensor(starts), .tensor(tensors.ratios),
                    .tensor(tensors.lowered), .tensor(tensors.ends), .tensor(tensors.tables), .int(shape.tokens),
                ])
        } else {
            try device.launch(
                "chunks.cu", "recurrence_sums<\(shape.chunk)>", grid: shape.grid, block: (32, 1),
                [.tensor(inputs.logDecays), .tensor(tensors.tables), .int(shape.tokens)])
        }
        if shape.isDelta {
            try device.launch(
                "chunks.cu", "recurrence_solve<\(shape.sizes)>", grid: shape.grid, block: (128, 1),
                shared: shape.solveBytes,
                [
                    .tensor(inputs.k), .tensor(keys), .tensor(inputs.v), .tensor(tensors.tables),
                    .tensor(tensors.ratios), .tensor(inputs.betas), .tensor(starts), .tensor(tensors.solved),
                    .tensor(tensors.recalls), .tensor(tensors.errors), .int(shape.tokens),
                ])
        }
        let values = tensors.errors ?? inputs.v
        var running = state.take()
        defer { state = running }
        try running?.makeUnique()
        try scan(
            shape, inputs, tensors, starts, reversed: false, first: tensors.recalls, second: ends, values: values,
            results: tensors.errors, states: tensors.states, from: running, to: running)
        let result = try empty(inputs.outputShape)
        try device.launch(
            "chunks.cu", "recurrence_chunk_outputs<\(shape.sizes),\(shape.isDelta)>", grid: shape.grid,
            block: (shape.threads, 1), shared: shape.outputBytes,
            [
                .tensor(inputs.q), .tensor(keys), .tensor(values), .tensor(tensors.tables), .tensor(tensors.ratios),
                .tensor(inputs.betas), .tensor(starts), .tensor(tensors.states), .tensor(result),
                .int(shape.tokens), .int(shape.group), .float(inputs.scale),
            ])
        return (result, tensors.saved)
    }

    private func scan(
        _ shape: RecurrenceChunks, _ inputs: Recurrence, _ tensors: ChunkTensors, _ starts: Tensor?, reversed: Bool,
        first: Tensor?, second: Tensor?, values: Tensor, results: Tensor?, states: Tensor, from: Tensor?, to: Tensor?
    ) throws {
        let (slice, stages, shared) = shape.scan(reversed: reversed)
        let sizes = "\(shape.keyDim),\(shape.valueDim),\(slice),\(shape.chunk),\(shape.hasChannels)"
        try device.launch(
            "chunk_states.cu", "recurrence_scan<\(sizes),\(shape.isDelta),\(reversed),\(stages)>",
            grid: (shape.valueDim / slice, shape.heads, shape.batch), block: (256, 1), shared: shared,
            [
                .tensor(first), .tensor(second), .tensor(values), .tensor(tensors.tables), .tensor(inputs.betas),
                .tensor(starts), .tensor(results), .tensor(states), .tensor(from), .tensor(to), .int(shape.tokens),
            ])
    }

    public func recurrenceBackward(
        _ gradient: Tensor, _ inputs: Recurrence, initial: Tensor?, finalGradient: Tensor?, saved: [Tensor]
    ) throws -> RecurrenceGradients {
        if let rankOne = inputs.rankOne {
            return try generalDeltaBackward(gradient, inputs, rankOne, initial, finalGradient, saved: saved)
        }
        let shape = try RecurrenceChunks(inputs)
        let starts = try inputs.documents?.firstPositions(length: shape.tokens, on: place)
        var saved = saved
        if saved.isEmpty {
            var state = initial
            saved = try recurrenceChunks(inputs, state: &state).saved
        }
        let tensors = ChunkTensors(shape, saved: saved)
        let (keys, ends, values) = (
            tensors.lowered ?? inputs.k, tensors.ends ?? inputs.k, tensors.errors ?? inputs.v
        )
        let results = (q: try empty(inputs.q.shape), k: try empty(inputs.k.shape), v: try empty(inputs.v.shape))
        let decays = try empty(inputs.logDecays.shape, .float32)
        let betas = try inputs.betas.map { try empty($0.shape, .float32) }
        let initialGradient = try initial.map { try empty($0.shape, .float32) }
        let adjoints = try empty(shape.statesShape)
        try device.launch(
            "chunks_backward.cu", "recurrence_read_gradients<\(shape.sizes)>", grid: shape.grid,
            block: (shape.threads * shape.valueParts, 1), shared: shape.readBytes,
            [
                .tensor(inputs.q), .tensor(keys), .tensor(tensors.tables), .tensor(tensors.ratios), .tensor(starts),
                .tensor(gradient), .tensor(results.v), .tensor(adjoints), .int(shape.tokens), .int(shape.group),
                .float(inputs.scale),
            ])
        try scan(
            shape, inputs, tensors, starts, reversed: true, first: ends, second: tensors.recalls, values: results.v,
            results: results.v, states: adjoints, from: finalGradient, to: initialGradient)
        try device.launch(
            "chunks_backward.cu", "recurrence_reader_gradients<\(shape.sizes),\(shape.isDelta)>", grid: shape.grid,
            block: (shape.threads, 1), shared: shape.readerBytes,
            [
                .tensor(inputs.q), .tensor(inputs.k), .tensor(keys), .tensor(values), .tensor(tensors.tables),
                .tensor(tensors.ratios), .tensor(inputs.betas), .tensor(starts), .tensor(tensors.states),
                .tensor(tensors.solved), .tensor(gradient), .tensor(results.v), .tensor(results.q),
                .tensor(results.k), .tensor(betas), .tensor(decays), .int(shape.tokens), .int(shape.group),
                .float(inputs.scale),
            ])
        try device.launch(
            "chunks_backward.cu", "recurrence_writer_gradients<\(shape.sizes),\(shape.isDelta)>", grid: shape.grid,
            block: (shape.threads, 1), shared: shape.writerBytes,
            [
                .tensor(inputs.q), .tensor(inputs.k), .tensor(keys), .tensor(values), .tensor(tensors.tables),
                .tensor(tensors.ratios), .tensor(inputs.betas), .tensor(starts), .tensor(tensors.states),
                .tensor(adjoints), .tensor(gradient), .tensor(results.v), .tensor(results.k), .tensor(decays),
                .int(shape.tokens), .int(shape.group), .float(inputs.scale),
            ])
        return RecurrenceGradients(
            q: results.q, k: results.k, v: results.v, logDecays: decays, betas: betas, initial: initialGradient)
    }
}
