extension CUDABackend {
    /// A block over the columns of a row, eight a thread: a block has 1024 threads at most.
    func rowBlock(_ dim: Int, _ operation: String) throws -> (Int, Int) {
        guard dim <= 8192 else {
            throw TensorError.device("\(operation) on a GPU takes rows of up to 8192 columns; found \(dim)")
        }
        return (32 * ((dim + 255) / 256), 1)
    }

    /// Threads along a row of `dim` elements of which several share a block, eight elements each: a power of two, at most 32.
    private func lanes(_ dim: Int) -> Int {
        var lanes = 1
        while lanes < min(32, (dim + 7) / 8) { lanes *= 2 }
        return lanes
    }

    private func rows(_ x: Tensor) -> (rows: Int, dim: Int) {
        let dim = x.shape.last ?? 1
        return (x.count / max(dim, 1), dim)
    }

    /// How rows are shared out to the kernels of norms, in as many blocks as `most` allows.
    func rowGeometry(
        _ x: Tensor, _ operation: String, most: Int
    ) throws -> (isNarrow: Bool, blocks: Int, block: (Int, Int), rows: Int, dim: Int) {
        let (rows, dim) = rows(x)
        let isNarrow = dim <= 256
        let lanes = lanes(dim)
        let blocks = min(isNarrow ? (rows * lanes + 255) / 256 : rows, most)
        return (isNarrow, blocks, isNarrow ? (lanes, 256 / lanes) : try rowBlock(dim, operation), rows, dim)
    }

    private func normGeometry(
        _ x: Tensor, _ norm: Normalisation, most: Int
    ) throws -> (variant: String, blocks: Int, block: (Int, Int), rows: Int, dim: Int) {
        let geometry = try rowGeometry(x, "\(norm.kind.rawValue)Norm", most: most)
        return (
            "<\(norm.kind == .layer),\(geometry.isNarrow)>", geometry.blocks, geometry.block, geometry.rows,
            geometry.dim
        )
    }

    public func normalised(_ x: Tensor, _ norm: Normalisation) throws -> (result: Tensor, saved: Tensor?) {
        let (variant, blocks, block, rows, dim) = try normGeometry(x, norm, most: 2048)
        let (result, saved) = (try empty(x.shape), try empty([norm.kind == .layer ? 2 : 1, rows], .float32))
        try device.launch(
            "norm.cu", "normalise\(variant)", grid: (blocks, 1, 1), block: block,
            [
                .tensor(x), .tensor(norm.weight), .tensor(norm.bias), .float(norm.epsilon), .tensor(result),
                .tensor(saved), .int(rows), .int(dim),
            ])
        return (result, saved)
    }

    public func normalisedBackward(
        _ gradient: Tensor, x: Tensor, _ norm: Normalisation, saved: Tensor?, more: Tensor?,
        weightGradient: inout Tensor
    ) throws -> Tensor {
        // Blocks are fixed by the shape: they set the order of the sum.
        let (variant, blocks, block, rows, dim) = try normGeometry(x, norm, most: 1024)
        let (result, parts) = (try empty(x.shape), try empty([blocks, dim], .float32))
        try device.launch(
            "norm.cu", "normalise_backward\(variant)", grid: (blocks, 1, 1), block: block,
            [
                .tensor(gradient), .tensor(x), .tensor(norm.weight), .tensor(saved), .tensor(more), .tensor(result),
                .tensor(parts), .int(rows), .int(dim),
            ])
        try addColumnSums(parts, into: weightGradient)
        return result
    }

    /// sums (columns) += the sums of the columns of parts (rows, columns), float32.
    func addColumnSums(_ parts: Tensor, into sums: Tensor) throws {
        let columns = sums.count
        try device.launch(
            "columns.cu", "add_column_sums", grid: ((columns + 7) / 8, 1, 1), block: (8, 64),
            [.tensor(parts), .tensor(sums), .int(parts.shape[0]), .int(columns)])
    }

    public func add(_ x: Tensor, _ y: Tensor) throws -> Tensor {
        let result = try empty(x.shape, x.dtype)
        guard x.dtype == .bfloat16 else {
            // Gradients of parameters, float32, which are few.
            try device.copy(to: result.deviceAddress, from: x.deviceAddress, bytes: x.byteCount)
            try overElements(
                "elementwise.cu", "scale_add<float>", count: x.count, .tensor(y), .float(1), .tensor(result))
            return result
        }
        try overElements("elementwise.cu", "add", count: x.count, .tensor(x), .tensor(y), .tensor(result))
        return result
    }

    public func accumulate(_ x: Tensor, into y: inout Tensor, scale: Float) throws {
        let type = x.dtype == .float32 ? "float" : "bf16"
        try overElements(
            "elementwise.cu", "scale_add<\(type)>", count: x.count, .tensor(x), .float(scale), .tensor(y))
    }

    public func scaled(_ x: Tensor, by factor: Float) throws -> Tensor {
        let result = try empty(x.shape)
        try overElements("elementwise.cu", "scale", count: x.count, .tensor(x), .float(factor), .tensor(result))
        return result
    }

    public func activated(_ x: Tensor, _ activation: Activation) throws -> Tensor {
        let result = try empty(x.shape)
        try overElements(
            "activations.cu", "activated<\(activation.cudaName)>", count: x.count, .tensor(x), .tensor(result))
        return result
    }

    public func activatedBackward(_ gradient: Tensor, _ activation: Activation, x: Tensor) throws -> Tensor {
        let result = try empty(x.shape)
        try overElements(
            "activations.cu", "activated_backward<\(activation.cudaName)>", count: x.count, .tensor(gradient),
            .tensor(x), .tensor(result))
        return result
    }

    public func gated(_ activation: Activation, gate: Tensor, up: Tensor) throws -> Tensor {
        let result = try empty(gate.shape)
        try overElements(
            "activations.cu", "gated<\(activation.cudaName)>", count: gate.count, .tensor(gate), .tensor(up),
            .tensor(result))
        return result
    }

    public func gatedBackward(
        _ gradient: Tensor, _ activation: Activation, gate: Tensor, up: Tensor
    ) throws -> (gate: Tensor, up: Tensor) {
        let results = (gate: try empty(gate.shape), up: try empty(up.shape))
        try overElements(
            "activations.cu", "gated_backward<\(activation.cudaName)>", count: gate.count, .tensor(gradient),
            .tensor(gate), .tensor(up), .tensor(results.gate), .tensor(results.up))
        return results
    }

    public func logGate(_ x: Tensor, divisor: Float) throws -> Tensor {
        let result = try empty(x.shape, .float32)
        try overElements(
            "activations.cu", "log_gate<bf16>", count: x.count, .tensor(x), .float(divisor), .tensor(result))
        return result
    }

    public func logGateBackward(_ gradient: Tensor, x: Tensor, divisor: Float) throws -> Tensor {
        let result = try empty(x.shape)
        try overElements(
            "activations.cu", "log_gate_backward<bf16>", count: x.count, .tensor(gradient), .tensor(x),
            .float(divisor), .tensor(result))
        return result
    }

    /// Threads along a head of `mix`, and the grid over heads.
    private func mixGeometry(_ x: Tensor) -> (grid: (Int, Int, Int), block: (Int, Int), heads: Int, dim: Int) {
        let dim = x.shape.last ?? 1
        let lanes = lanes(dim)
        let (heads, together) = (x.count / max(dim, 1), 256 / lanes)
        return (((heads + together - 1) / together, 1, 1), (lanes, together), heads, dim)
    }

    public func mix(_ x: Tensor, _ y: Tensor, logits: Tensor) throws -> Tensor {
        let (result, geometry) = (try empty(x.shape), mixGeometry(x))
        try device.launch(
            "mix.cu", "mix", grid: geometry.grid, block: geometry.block,
            [
                .tensor(x), .tensor(y), .tensor(logits), .tensor(result), .long(geometry.heads), .int(geometry.dim),
            ])
        return result
    }

    public func mixBackward(
        _ gradient: Tensor, x: Tensor, y: Tensor, logits: Tensor
    ) throws -> (x: Tensor, y: Tensor, logits: Tensor) {
        let results = (x: try empty(x.shape), y: try empty(y.shape), logits: try empty(logits.shape))
        let geometry = mixGeometry(x)
        try device.launch(
            "mix.cu", "mix_backward", grid: geometry.grid, block: geometry.block,
            [
                .tensor(gradient), .tensor(x), .tensor(y), .tensor(logits), .tensor(results.x), .tensor(results.y),
                .tensor(results.logits), .long(geometry.heads), .int(geometry.dim),
            ])
        return results
    }

    public func rope(
        _ x: Tensor, cosines: Tensor, sines: Tensor, offset: Int, documents: Documents?
    ) throws -> Tensor {
        try rotate(x, nil, cosines: cosines, sines: sines, offset: offset, documents: documents, sign: 1)[0]
    }

    func rope(
        q: Tensor, k: Tensor, cosines: Tensor, sines: Tensor, offset: Int, documents: Documents?
    ) throws -> (q: Tensor, k: Tensor) {
        let results = try rotate(q, k, cosines: cosines, sines: sines, offset: offset, documents: documents, sign: 1)
        return (results[0], results[1])
    }

    public func ropeBackward(
        _ gradient: Tensor, cosines: Tensor, sines: Tensor, offset: Int, documents: Documents?
    ) throws -> Tensor {
        try rotate(gradient, nil, cosines: cosines, sines: sines, offset: offset, documents: documents, sign: -1)[0]
    }

    /// Turns x, and `other` at the same places unless it is nil.
    private func rotate(
        _ x: Tensor, _ other: Tensor?, cosines: Tensor, sines: Tensor, offset: Int, documents: Documents?, sign: Float
    ) throws -> [Tensor] {
        let rows = offset..<cosines.shape[0], results = try [x, other].map { try $0.map { try empty($0.shape) } }
        let (heads, others) = (x.shape[2], other?.shape[2] ?? 0)
        let items = x.shape[0] * x.shape[1] * (heads + others) * ((x.shape[3] + 15) / 16)
        try device.launch(
            "rope.cu", "rope", grid: ((items + 255) / 256, 1, 1),
            [
                .tensor(x), .tensor(other), .tensor(try cosines.rows(rows)), .tensor(try sines.rows(rows)),
                .tensor(try documents?.firstPositions(length: x.shape[1], on: place)), .float(sign),
                .tensor(results[0]), .tensor(results[1]), .int(x.shape[0]), .int(x.shape[1]), .int(heads), .int(others),
                .int(x.shape[3]),
            ])
        return results.compactMap { $0 }
    }
}
