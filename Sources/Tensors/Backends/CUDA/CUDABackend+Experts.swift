/// Experts on a GPU: every expert computes all rows, so that no work waits for the host to read which rows take it.
extension CUDABackend {
    public func routed(_ logits: Tensor, active: Int, isNormalised: Bool) throws -> Tensor {
        let (rows, experts) = (logits.shape[0], logits.shape[1])
        let weights = try empty([experts, rows], .float32)
        try device.launch(
            "experts.cu", "route", grid: ((rows + 7) / 8, 1, 1), block: (32, 8),
            [.tensor(logits), .tensor(weights), .int(rows), .int(experts), .int(active), .bool(isNormalised)])
        return weights
    }

    public func routedBackward(
        _ gradient: Tensor, logits: Tensor, weights: Tensor, isNormalised: Bool
    ) throws -> Tensor {
        let (rows, experts) = (logits.shape[0], logits.shape[1])
        let result = try empty(logits.shape)
        try device.launch(
            "experts.cu", "route_backward", grid: ((rows + 7) / 8, 1, 1), block: (32, 8),
            [
                .tensor(gradient), .tensor(logits), .tensor(weights), .tensor(result), .int(rows), .int(experts),
                .bool(isNormalised),
            ])
        return result
    }

    public func rowsOfExperts(_ weights: Tensor) throws -> [Tensor]? { nil }

    public func takenRows(_ x: Tensor, at ids: Tensor?, by shares: Tensor?) throws -> Tensor {
        guard let shares else { return x }
        let result = try empty(x.shape)
        try device.launch(
            "experts.cu", "scale_rows", grid: (pieces(of: x), 1, 1),
            [.tensor(x), .tensor(shares), .tensor(result), .long(x.shape[0]), .int(x.shape[1])])
        return result
    }

    public func addRows(_ x: Tensor, at ids: Tensor?, by shares: Tensor?, to sum: inout Tensor) throws {
        try device.launch(
            "experts.cu", "add_rows", grid: (pieces(of: x), 1, 1),
            [.tensor(x), .tensor(shares), .tensor(sum), .long(x.shape[0]), .int(x.shape[1])])
    }

    public func setRowProducts(
        _ x: Tensor, _ y: Tensor, at ids: Tensor?, in products: inout Tensor, row: Int
    ) throws {
        try device.launch(
            "experts.cu", "row_products", grid: ((x.shape[0] + 7) / 8, 1, 1), block: (32, 8),
            [.tensor(x), .tensor(y), .tensor(products.rows(row..<row + 1)), .int(x.shape[0]), .int(x.shape[1])])
    }

    /// Blocks over the rows of x (R, D), eight elements a thread.
    private func pieces(of x: Tensor) -> Int { (x.shape[0] * ((x.shape[1] + 7) / 8) + 255) / 256 }
}
