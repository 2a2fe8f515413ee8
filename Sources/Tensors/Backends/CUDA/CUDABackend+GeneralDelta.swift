/// The generalised delta rule on a GPU, token by token.
extension CUDABackend {
    /// Sizes of one call, and what follows from them.
    private struct GeneralDeltaShape {
        let batch, tokens, heads, group, keyDim, valueDim: Int

        init(_ inputs: Recurrence) throws {
            (batch, tokens, heads) = (inputs.q.shape[0], inputs.q.shape[1], inputs.k.shape[2])
            (group, keyDim, valueDim) = (inputs.q.shape[2] / heads, inputs.k.shape[3], inputs.v.shape[3])
            guard keyDim <= 256, valueDim <= 256, (4 + group) * max(keyDim, valueDim) <= 12 << 10 else {
                throw TensorError.device(
                    "\(inputs.operation) on a GPU needs keys and values of widths up to 256; found K \(keyDim), "
                        + "V \(valueDim), \(group) query heads a group")
            }
        }

        var grid: (Int, Int, Int) { (heads, batch, 1) }
        /// Of a kernel whose threads hold columns, and of one whose threads hold rows.
        var columns: (block: (Int, Int), shared: Int) { (block(valueDim), 4 * (4 + group) * keyDim) }
        var rows: (block: (Int, Int), shared: Int) { (block(keyDim), 4 * (3 + group) * valueDim) }
        var arguments: String { "\(keyDim),\(valueDim),\(group)" }

        private func block(_ count: Int) -> (Int, Int) { ((4 * count + 31) / 32 * 32, 1) }
    }

    /// One token updates `state` in place, where nobody else holds it. What is recalled of the state is kept for the way back.
    func generalDelta(
        _ inputs: Recurrence, _ rankOne: Recurrence.RankOne, state: inout Tensor?
    ) throws -> (result: Tensor, saved: [Tensor]) {
        let shape = try GeneralDeltaShape(inputs)
        let recalled = shape.tokens > 1 ? try empty(inputs.v.shape, .float32) : nil
        let result = try outputs(inputs, rankOne, shape, state: &state, recalled: recalled)
        return (result, recalled.map { [$0] } ?? [])
    }

    private func outputs(
        _ inputs: Recurrence, _ rankOne: Recurrence.RankOne, _ shape: GeneralDeltaShape, state: inout Tensor?,
        recalled: Tensor?
    ) throws -> Tensor {
        var running = state.take()
        defer { state = running }
        try running?.makeUnique()
        let result = try empty(inputs.outputShape)
        try device.launch(
            "general_delta.cu", "general_delta_outputs<\(shape.arguments)>", grid: shape.grid,
            block: shape.columns.block, shared: shape.columns.shared,
            [
                .tensor(inputs.q), .tensor(inputs.k), .tensor(inputs.v), .tensor(inputs.logDecays),
                .tensor(rankOne.reads), .tensor(rankOne.writes),
                .tensor(try inputs.documents?.firstPositions(length: shape.tokens, on: place)), .tensor(running),
                .tensor(running), .tensor(result), .tensor(recalled), .int(shape.tokens), .float(inputs.scale),
            ])
        return result
    }

    func generalDeltaBackward(
        _ gradient: Tensor, _ inputs: Recurrence, _ rankOne: Recurrence.RankOne, _ initial: Tensor?,
        _ finalGradient: Tensor?, saved: [Tensor]
    ) throws -> RecurrenceGradients {
        let shape = try GeneralDeltaShape(inputs)
        let starts = try inputs.documents?.firstPositions(length: shape.tokens, on: place)
        let recalled = try saved.first ?? empty(inputs.v.shape, .float32)
        if saved.isEmpty {
            var state = initial
            _ = try outputs(inputs, rankOne, shape, state: &state, recalled: recalled)
        }
        let results = (q: try empty(inputs.q.shape), k: try empty(inputs.k.shape), v: try empty(inputs.v.shape))
        let factors = Recurrence.RankOne(reads: try empty(inputs.k.shape), writes: try empty(inputs.k.shape))
        let decays = try empty(inputs.logDecays.shape, .float32)
        let initialGradient = try initial.map { try empty($0.shape, .float32) }
        let recalledGradient = try empty(inputs.v.shape, .float32)
        let scalars: [CUDADevice.Argument] = [.int(shape.tokens), .float(inputs.scale)]
        try device.launch(
            "general_delta.cu", "general_delta_value_gradients<\(shape.arguments)>", grid: shape.grid,
            block: shape.columns.block, shared: shape.columns.shared,
            [
                .tensor(inputs.q), .tensor(inputs.k), .tensor(inputs.logDecays), .tensor(rankOne.reads),
                .tensor(rankOne.writes), .tensor(starts), .tensor(gradient), .tensor(finalGradient),
                .tensor(initialGradient), .tensor(results.v), .tensor(recalledGradient),
            ] + scalars)
        let (readers, recalls) = (try empty(inputs.k.shape, .float32), try empty(inputs.k.shape, .float32))
        let sums = try empty(Array(inputs.stateShape.dropLast()), .float32)
        let common: [CUDADevice.Argument] = [
            .tensor(inputs.q), .tensor(inputs.k), .tensor(inputs.v), .tensor(inputs.logDecays),
            .tensor(rankOne.reads), .tensor(rankOne.writes), .tensor(starts),
        ]
        try device.launch(
            "general_delta.cu", "general_delta_reader_gradients<\(shape.arguments)>", grid: shape.grid,
            block: shape.rows.block, shared: shape.rows.shared,
            common + [
                .tensor(initial), .tensor(finalGradient), .tensor(gradient), .tensor(recalled),
                .tensor(recalledGradient), .tensor(results.q), .tensor(factors.reads), .tensor(readers),
                .tensor(recalls), .tensor(sums),
            ] + scalars)
        try device.launch(
            "general_delta.cu", "general_delta_key_gradients<\(shape.arguments)>", grid: shape.grid,
            block: shape.rows.block, shared: shape.rows.shared,
            common + [
                .tensor(finalGradient), .tensor(gradient), .tensor(recalled), .tensor(recalledGradient),
                .tensor(readers), .tensor(recalls), .tensor(sums), .tensor(results.k), .tensor(factors.writes),
                .tensor(decays),
            ] + scalars)
        return RecurrenceGradients(
            q: results.q, k: results.k, v: results.v, logDecays: decays, betas: nil, rankOne: factors,
            initial: initialGradient)
    }
}
