extension CUDABackend {
    /// Chunks of tokens, or one token, which updates `state` in place where nobody else holds it.
    public func recurrence(_ inputs: Recurrence, state: inout Tensor?) throws -> (result: Tensor, saved: [Tensor]) {
        if let rankOne = inputs.rankOne { return try generalDelta(inputs, rankOne, state: &state) }
        guard inputs.q.shape[1] == 1, var running = state.take() else {
            return try recurrenceChunks(inputs, state: &state)
        }
        defer { state = running }
        return (try recurrenceStep(inputs, state: &running), [])
    }

    private func recurrenceStep(_ inputs: Recurrence, state: inout Tensor) throws -> Tensor {
        let shape = try RecurrenceChunks(inputs)
        try state.makeUnique()
        let result = try empty(inputs.outputShape)
        try device.launch(
            "recurrence_step.cu",
            "recurrence_step<\(shape.keyDim),\(shape.valueDim),\(shape.group),\(shape.hasChannels),\(shape.isDelta)>",
            grid: (shape.heads, shape.batch, 1), block: ((4 * shape.valueDim + 31) / 32 * 32, 1),
            shared: 4 * (2 + shape.group) * shape.keyDim,
            [
                .tensor(inputs.q), .tensor(inputs.k), .tensor(inputs.v), .tensor(inputs.logDecays),
                .tensor(inputs.betas), .tensor(state), .tensor(result), .float(inputs.scale),
            ])
        return result
    }
}
