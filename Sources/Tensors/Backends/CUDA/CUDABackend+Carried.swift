extension CUDABackend {
    public func carriedRows(
        past: Tensor, _ x: Tensor, _ carried: CarriedDocuments, _ selection: CarriedSelection
    ) throws -> Tensor {
        let (places, tokens) = (past.shape[1], x.shape[1])
        switch selection {
        case .joined:
            let result = try empty([x.shape[0], places + tokens] + x.shape[2...])
            try rows(past: past, x, counts: carried.counts, into: result)
            return result
        case .next(let sinks):
            let result = try empty(past.shape)
            try rows(
                past: past, x, counts: carried.counts,
                starts: carried.documents(behind: places).firstPositions(length: places + tokens, on: place),
                from: tokens, sinks: sinks, into: result)
            return result
        }
    }

    public func rows(_ x: Tensor, from start: Int, count: Int) throws -> Tensor {
        let result = try empty([x.shape[0], count] + x.shape[2...])
        try rows(past: nil, x, from: start, into: result)
        return result
    }

    /// `result` (B, C, ...) = the places from `start` on of `past` (B, P, ...) and x (B, T, ...) behind them; see the kernel.
    func rows(
        past: Tensor?, _ x: Tensor, counts: Tensor? = nil, starts: Tensor? = nil, from start: Int = 0, sinks: Int = 0,
        into result: Tensor
    ) throws {
        let (batch, count, width) = (x.shape[0], result.shape[1], x.shape[2...].reduce(1, *))
        try device.launch(
            "carried.cu", "carried_rows", grid: ((batch * count * ((width + 7) / 8) + 255) / 256, 1, 1),
            [
                .tensor(past), .tensor(x), .tensor(counts), .tensor(starts), .tensor(result), .int(batch),
                .int(past?.shape[1] ?? 0), .int(x.shape[1]), .int(count), .int(width), .int(start), .int(sinks),
            ])
    }

    public func carriedStates(_ x: Tensor, _ carried: CarriedDocuments) throws -> Tensor {
        let result = try empty(x.shape, x.dtype)
        // Nothing is computed: of types of two bytes two elements are copied as one.
        let width = x.byteCount / max(1, x.shape[0]) / DType.float32.size
        try device.launch(
            "carried.cu", "carried_states", grid: ((width + 255) / 256, x.shape[0], 1),
            [.tensor(x), .tensor(carried.counts), .tensor(result), .int(width)])
        return result
    }

    func places(_ first: Tensor) throws -> Tensor {
        let result = try empty([first.count], .int32)
        try device.launch(
            "embedding.cu", "document_places", grid: ((first.count + 255) / 256, 1, 1),
            [.tensor(first), .tensor(result), .long(first.count), .int(first.shape[1])])
        return result
    }

    public func documents(_ documents: Documents, behind past: Int, before counts: Tensor) throws -> Documents {
        guard let first = documents.rows else {
            throw TensorError.device("rows that go on with others need the first positions of their documents")
        }
        let (batch, tokens) = (first.shape[0], first.shape[1])
        let result = try empty([batch, past + tokens], .int32)
        try device.launch(
            "carried.cu", "carried_starts", grid: ((batch * (past + tokens) + 255) / 256, 1, 1),
            [.tensor(first), .tensor(counts), .tensor(result), .int(batch), .int(past), .int(tokens)])
        return Documents(firstPositions: result)
    }
}
