extension CUDABackend {
    /// Sizes of one call, and what follows from them.
    private struct RecurrenceShape {
        let batch, tokens, heads, group, keyDim, valueDim: Int
        let hasChannels, isDelta: Bool

        init(_ inputs: Recurrence) throws {
            (batch, tokens, heads) = (inputs.q.shape[0], inputs.q.shape[1], inputs.k.shape[2])
            (group, keyDim, valueDim) = (inputs.q.shape[2] / heads, inputs.k.shape[3], inputs.v.shape[3])
            (hasChannels, isDelta) = (inputs.logDecays.shape[3] == keyDim, inputs.betas != nil)
            guard keyDim <= 256, valueDim <= 256, (2 + group) * max(keyDim, valueDim) <= 12 << 10 else {
                throw TensorError.device(
                    "\(inputs.operation) on a GPU needs keys and values of widths up to 256; found K \(keyDim), "
                        + "V \(valueDim), \(group) query heads a group")
            }
        }

        var grid: (Int, Int, Int) { (heads, batch, 1) }
        /// Of a kernel whose threads hold columns, and of one whose threads hold rows.
        var columns: (block: (Int, Int), shared: Int) { (block(valueDim), 4 * (2 + group) * keyDim) }
        var rows: (block: (Int, Int), shared: Int) { (block(keyDim), 4 * (2 + group) * valueDim) }
        var arguments: String { "\(keyDim),\(valueDim),\(group),\(hasChannels),\(isDelta)" }
        /// The same for kernels that read values, or the errors of a delta rule.
        var valueArguments: String { arguments + (isDelta ? ",float" : ",bf16") }

        private func block(_ count: Int) -> (Int, Int) { ((4 * count + 31) / 32 * 32, 1) }
    }

    /// Token by token; one token updates `state` in place, where nobody else holds it.
    public func recurrence(_ inputs: Recurrence, state: inout Tensor?) throws -> (result: Tensor, saved: [Tensor]) {
        let shape = try RecurrenceShape(inputs)
        let errors =
            shape.isDelta && shape.tokens > 1
            ? try empty([shape.batch, shape.tokens, shape.heads, shape.valueDim], .float32) : nil
        return (
            try recurrence(inputs, shape, state: &state, errors: errors), errors.map { [$0] } ?? []
        )
    }

    private func recurrence(
        _ inputs: Recurrence, _ shape: RecurrenceShape, state: inout Tensor?, errors: Tensor?
    ) throws -> Tensor {
        var running = state.take()
        defer { state = running }
        try running?.makeUnique()
        let result = try empty(inputs.outputShape)
        try device.launch(
            "recurrence.cu", "recurrence_outputs<\(shape.arguments)>", grid: shape.grid, block: shape.columns.block,
            shared: shape.columns.shared,
            [
                .tensor(inputs.q), .tensor(inputs.k), .tensor(inputs.v), .tensor(inputs.logDecays),
                .tensor(inputs.betas), .tensor(try inputs.documents?.firstPositions(length: shape.tokens, on: place)),
                .tensor(running), .tensor(running), .tensor(result), .tensor(errors), .int(shape.tokens),
                .float(inputs.scale),
            ])
        return result
    }

    public func recurrenceBackward(
        _ gradient: Tensor, _ inputs: Recurrence, initial: Tensor?, finalGradient: Tensor?, saved: [Tensor]
    ) throws -> RecurrenceGradients {
        let shape = try RecurrenceShape(inputs)
        let starts = try inputs.documents?.firstPositions(length: shape.tokens, on: place)
        var errors = saved.first
        if shape.isDelta, errors == nil {
            errors = try empty(inputs.v.shape, .float32)
            var state = initial
            _ = try recurrence(inputs, shape, state: &state, errors: errors)
        }
        let results = (q: try empty(inputs.q.shape), k: try empty(inputs.k.shape), v: try empty(inputs.v.shape))
        let decays = try empty(inputs.logDecays.shape, .float32)
        let betas = try inputs.betas.map { try empty($0.shape, .float32) }
        let initialGradient = try initial.map { try empty($0.shape, .float32) }
        let writes = shape.isDelta ? try empty(inputs.v.shape, .float32) : nil
        try device.launch(
            "recurrence_backward.cu", "recurrence_value_gradients<\(shape.arguments)>", grid: shape.grid,
            block: shape.columns.block, shared: shape.columns.shared,
            [
                .tensor(inputs.q), .tensor(inputs.k), .tensor(inputs.logDecays), .tensor(inputs.betas),
                .tensor(starts), .tensor(errors), .tensor(gradient), .tensor(finalGradient), .tensor(initialGradient),
                .tensor(results.v), .tensor(writes), .tensor(betas), .int(shape.tokens), .float(inputs.scale),
            ])
        let recalls = shape.isDelta ? try empty(inputs.k.shape, .float32) : nil
        let got = try empty(inputs.k.shape, .float32)
        let sums = try empty(Array(inputs.stateShape.dropLast()), .float32)
        let values = shape.isDelta ? errors : inputs.v
        try device.launch(
            "recurrence_backward.cu", "recurrence_reader_gradients<\(shape.valueArguments)>", grid: shape.grid,
            block: shape.rows.block, shared: shape.rows.shared,
            [
                .tensor(inputs.q), .tensor(inputs.k), .tensor(values), .tensor(inputs.logDecays),
                .tensor(inputs.betas), .tensor(starts), .tensor(initial), .tensor(finalGradient), .tensor(gradient),
                .tensor(writes), .tensor(results.q), .tensor(recalls), .tensor(got), .tensor(sums),
                .int(shape.tokens), .float(inputs.scale),
            ])
        try device.launch(
            "recurrence_backward.cu", "recurrence_key_gradients<\(shape.valueArguments)>", grid: shape.grid,
            block: shape.rows.block, shared: shape.rows.shared,
            [
                .tensor(inputs.q), .tensor(inputs.k), .tensor(values), .tensor(inputs.logDecays),
                .tensor(inputs.betas), .tensor(starts), .tensor(finalGradient), .tensor(gradient), .tensor(writes),
                .tensor(recalls), .tensor(got), .tensor(sums), .tensor(results.k), .tensor(decays),
                .int(shape.tokens), .float(inputs.scale),
            ])
        return RecurrenceGradients(
            q: results.q, k: results.k, v: results.v, logDecays: decays, betas: betas, initial: initialGradient)
    }
}
