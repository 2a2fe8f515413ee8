import CCUDA

extension CUDABackend {
    // MARK: Narrow outputs

    /// Tensor-core kernels want rows of a multiple of 16 bytes: outputs of other widths get columns of zeros.
    private func padded(_ outputs: Int) -> Int { (outputs + 7) / 8 * 8 }

    /// The first `columns` of x (R, ·), or x with columns of zeros beyond its own.
    private func columns(_ x: Tensor, _ columns: Int) throws -> Tensor {
        let width = x.shape.last ?? 1
        guard width != columns else { return x }
        let rows = x.count / max(width, 1)
        let result = try empty(x.shape.dropLast() + [columns])
        try device.launch(
            "elementwise.cu", "copy_columns", grid: ((rows * columns + 255) / 256, 1, 1),
            [.tensor(x), .tensor(result), .long(rows), .int(width), .int(columns)])
        return result
    }

    /// weight (O, I) with rows of zeros beyond its own.
    private func paddedRows(_ weight: Tensor) throws -> Tensor {
        let (outputs, inputs) = (weight.shape[0], weight.shape[1])
        guard padded(outputs) != outputs else { return weight }
        let result = try zeros([padded(outputs), inputs], .bfloat16)
        try device.copy(to: result.deviceAddress, from: weight.deviceAddress, bytes: weight.byteCount)
        return result
    }

    // MARK: Linear maps

    /// x (R, I) · weightᵀ (I, O) → (R, O), in BLAS's terms weight · xᵀ.
    func multiply(_ x: Tensor, _ weight: Tensor, bias: Tensor? = nil, into result: Tensor) throws {
        let (outputs, inputs) = (weight.shape[0], weight.shape[1])
        let bias = try bias.map { bias in
            // The epilogue adds a bias of the result's type. What it adds to padded outputs is dropped with them.
            let half = device.isChecked ? try zeros([outputs], .bfloat16) : try empty([outputs])
            try overElements("elementwise.cu", "cast<float,bf16>", count: bias.count, .tensor(bias), .tensor(half))
            return half
        }
        try device.multiply(
            moult_cuda_product(
                m: Int64(outputs), n: Int64(x.count / max(inputs, 1)), k: Int64(inputs), a: weight.deviceAddress,
                b: x.deviceAddress, d: result.deviceAddress, bias: bias?.deviceAddress ?? 0, transpose_a: 1,
                transpose_b: 0, d_type: Int32(result.dtype == .float32 ? moult_cuda_float32 : moult_cuda_bfloat16),
                beta: 0))
    }

    public func linear(_ x: Tensor, weights: [Tensor], biases: [Tensor?]) throws -> [Tensor] {
        for weight in weights { try requireHalf(weight, "linear") }
        if let results = try fewRows(x, norm: nil, weights: weights, biases: biases, addedTo: nil) { return results }
        return try zip(weights, biases).map { weight, bias in
            let outputs = weight.shape[0]
            let result = try empty(x.shape.dropLast() + [padded(outputs)])
            try multiply(x, paddedRows(weight), bias: bias, into: result)
            return try columns(result, outputs)
        }
    }

    /// Products read bfloat16.
    private func requireHalf(_ weight: Tensor, _ operation: String) throws {
        guard weight.dtype == .bfloat16, weight.device == place else {
            throw TensorError.device(
                "\(operation) on \(place) reads bfloat16 weights there; found \(weight.dtype.rawValue) on \(weight.device)"
            )
        }
    }

    /// sum (R, I) = gradient (R, O) · weight (O, I), plus what is there where `add`.
    private func multiplyBack(_ gradient: Tensor, _ weight: Tensor, into sum: Tensor, add: Bool) throws {
        let (outputs, inputs) = (weight.shape[0], weight.shape[1])
        try device.multiply(
            moult_cuda_product(
                m: Int64(inputs), n: Int64(gradient.count / max(outputs, 1)), k: Int64(outputs),
                a: weight.deviceAddress,
                b: gradient.deviceAddress, d: sum.deviceAddress, bias: 0, transpose_a: 0, transpose_b: 0,
                d_type: Int32(moult_cuda_bfloat16), beta: add ? 1 : 0))
    }

    public func linearBackward(_ gradients: [Tensor], weights: [Tensor]) throws -> Tensor {
        guard let first = gradients.first, let weight = weights.first else { return try empty([0]) }
        let sum = try empty(first.shape.dropLast() + [weight.shape[1]])
        for (index, (gradient, weight)) in zip(gradients, weights).enumerated() {
            try multiplyBack(
                columns(gradient, padded(weight.shape[0])), paddedRows(weight), into: sum, add: index > 0)
        }
        return sum
    }

    public func accumulateLinearGradient(
        _ gradient: Tensor, x: Tensor, into weight: inout Tensor?, half: Bool
    ) throws {
        let (outputs, inputs) = (gradient.shape.last ?? 1, x.shape.last ?? 1)
        if padded(outputs) != outputs {
            var part: Tensor?
            try accumulateLinearGradient(columns(gradient, padded(outputs)), x: x, into: &part, half: half)
            guard let part = try part?.rows(0..<outputs) else { return }
            var sum = try weight ?? zeros([outputs, inputs])
            try accumulate(part, into: &sum, scale: 1)
            weight = sum
            return
        }
        let sum = try weight ?? empty([outputs, inputs], .float32)
        try device.multiply(
            moult_cuda_product(
                m: Int64(inputs), n: Int64(outputs), k: Int64(x.count / max(inputs, 1)), a: x.deviceAddress,
                b: gradient.deviceAddress, d: sum.deviceAddress, bias: 0, transpose_a: 0, transpose_b: 1,
                d_type: Int32(moult_cuda_float32), beta: weight == nil ? 0 : 1))
        weight = sum
    }

    public func accumulateColumnSums(_ gradient: Tensor, into bias: inout Tensor) throws {
        let (columns, strip) = (bias.count, 128)
        let rows = gradient.count / max(columns, 1)
        let strips = (rows + strip - 1) / strip
        let parts = try empty([strips, columns], .float32)
        try device.launch(
            "columns.cu", "column_parts<bf16>", grid: ((columns + 255) / 256, strips, 1), block: (32, 8),
            [.tensor(gradient), .tensor(parts), .long(rows), .int(columns), .int(strip)])
        try addColumnSums(parts, into: bias)
    }

    public func embedding(_ ids: Tensor, table: Tensor) throws -> Tensor {
        let dim = table.shape[1]
        let result = try empty([ids.count, dim])
        try device.launch(
            "embedding.cu", "gather_rows<bf16>", grid: ((ids.count + 7) / 8, 1, 1), block: (32, 8),
            [.tensor(ids), .tensor(table), .tensor(result), .int(ids.count), .int(dim)])
        return result
    }

    /// Over the ids in ascending order, so that the sums of each row are taken in the order of the text.
    public func accumulateEmbeddingGradient(_ gradient: Tensor, ids: Tensor, into table: inout Tensor) throws {
        let (count, dim) = (ids.count, table.shape[1])
        let (sorted, order) = (try empty([count], .int32), try empty([count], .int32))
        let bits = max(1, Int.bitWidth - (table.shape[0] - 1).leadingZeroBitCount)
        try device.launch(
            "sort.cu", "sort_ids", grid: (1, 1, 1), block: (1024, 1), shared: 65536,
            [
                .tensor(ids), .tensor(sorted), .tensor(order), .tensor(try empty([2 * count], .int32)), .int(count),
                .int(bits),
            ])
        let chunks = (count + 31) / 32
        let parts = try empty([chunks, 2, dim], .float32)
        let block = try rowBlock(dim, "embedding's gradient")
        try device.launch(
            "embedding.cu", "embedding_gradient_runs", grid: (chunks, 1, 1), block: block,
            [
                .tensor(gradient), .tensor(sorted), .tensor(order), .tensor(table), .tensor(parts), .int(count),
                .int(dim),
            ])
        try device.launch(
            "embedding.cu", "embedding_gradient_joins", grid: (chunks, 1, 1), block: block,
            [.tensor(sorted), .tensor(parts), .tensor(table), .int(count), .int(dim)])
    }

    /// Calls `body` with every range of rows whose logits are held at once, and those logits (rows, O).
    private func overLogits(
        _ hidden: Tensor, head: Tensor, _ body: (Range<Int>, Tensor, Tensor) throws -> Void
    ) throws {
        try requireHalf(head, "head")
        let (outputs, inputs) = (head.shape[0], head.shape[1])
        let rows = hidden.count / max(inputs, 1)
        // About half a gigabyte of logits.
        let step = max(1, min(rows, (1 << 28) / outputs))
        let flat = try hidden.detached.reshaped([rows, inputs])
        for start in stride(from: 0, to: rows, by: step) {
            let range = start..<min(start + step, rows)
            let part = try flat.rows(range)
            let logits = try empty([range.count, outputs])
            try multiply(part, head, into: logits)
            try body(range, part, logits)
        }
    }

    public func negativeLogLikelihood(
        _ hidden: Tensor, head: Tensor, cap: Float?, targets: [Int32]
    ) throws -> [Float] {
        let ids = try Tensor(targets, shape: [targets.count]).to(place)
        let losses = try empty([targets.count], .float32)
        try overLogits(hidden, head: head) { range, _, logits in
            try device.launch(
                "losses.cu", "negative_log_likelihood<\(cap != nil)>", grid: (range.count, 1, 1), block: (512, 1),
                [
                    .tensor(logits), .tensor(ids.rows(range)), .tensor(losses.rows(range)), .int(head.shape[0]),
                    .float(cap ?? 0),
                ])
        }
        return try losses.array()
    }

    public func crossEntropy(
        _ hidden: Tensor, head: Tensor, cap: Float?, targets: Tensor, weighting: LossWeighting,
        headGradient: inout Tensor?
    ) throws -> (losses: Tensor, hiddenGradient: Tensor) {
        try loss(hidden, head: head, headGradient: &headGradient) { range, logits, losses in
            let outputs = head.shape[0]
            let cached = outputs % 8 == 0 && 2 * outputs <= 200 << 10
            try device.launch(
                "losses.cu", "cross_entropy<\(cap != nil)>", grid: (range.count, 1, 1), block: (512, 1),
                shared: cached ? 2 * outputs : 0,
                [
                    .tensor(logits), .tensor(targets.rows(range)), .tensor(losses), .float(weighting.scale),
                    .tensor(weighting.factor), .tensor(weighting.weights?.rows(range)), .int(outputs), .bool(cached),
                    .float(cap ?? 0),
                ])
        }
    }

    public func klDivergence(
        _ hidden: Tensor, head: Tensor, cap: Float?, teacherHidden: Tensor, teacherHead: Tensor, teacherCap: Float?,
        weighting: LossWeighting, headGradient: inout Tensor?
    ) throws -> (losses: Tensor, hiddenGradient: Tensor) {
        try requireHalf(teacherHead, "klDivergence")
        let width = teacherHead.shape[1]
        let teacher = try teacherHidden.detached.reshaped([teacherHidden.count / max(width, 1), width])
        return try loss(hidden, head: head, headGradient: &headGradient) { range, logits, losses in
            let outputs = head.shape[0]
            let target = try empty(logits.shape)
            try multiply(teacher.rows(range), teacherHead, into: target)
            let cached = outputs % 8 == 0 && 4 * outputs <= 226 << 10
            try device.launch(
                "losses.cu", "divergence<\(cap != nil || teacherCap != nil)>", grid: (range.count, 1, 1),
                block: (1024, 1),
                shared: cached ? 4 * outputs : 0,
                [
                    .tensor(logits), .tensor(target), .tensor(losses), .float(weighting.scale),
                    .tensor(weighting.factor), .tensor(weighting.weights?.rows(range)), .int(outputs), .bool(cached),
                    .float(cap ?? 0), .float(teacherCap ?? 0),
                ])
        }
    }

    /// Blocks of rows, whose logits `run` turns into their own gradient in place.
    private func loss(
        _ hidden: Tensor, head: Tensor, headGradient: inout Tensor?,
        _ run: (Range<Int>, Tensor, Tensor) throws -> Void
    ) throws -> (losses: Tensor, hiddenGradient: Tensor) {
        let rows = hidden.count / max(head.shape[1], 1)
        let losses = try empty([rows], .float32)
        let gradient = try empty([rows, head.shape[1]])
        // A gradient that is held elsewhere too would change there.
        var sum = headGradient
        try overLogits(hidden, head: head) { range, part, logits in
            try run(range, logits, losses.rows(range))
            try multiplyBack(logits, head, into: gradient.rows(range), add: false)
            if sum != nil { try accumulateLinearGradient(logits, x: part, into: &sum, half: true) }
        }
        return (losses, try gradient.reshaped(hidden.shape))
    }

    public func meanSquaredError(_ x: Tensor, target: Tensor) throws -> (loss: Tensor, gradient: Tensor) {
        let blocks = max(1, min((x.count + 2047) / 2048, 1024))
        let parts = try empty([2 * blocks], .float32)
        let (loss, factor, gradient) = (try empty([], .float32), try empty([], .float32), try empty(x.shape))
        try device.launch(
            "squared_error.cu", "squared_error_parts", grid: (blocks, 1, 1),
            [.tensor(x), .tensor(target), .tensor(parts), .long(x.count)])
        try device.launch(
            "squared_error.cu", "squared_error_loss", grid: (1, 1, 1), block: (1024, 1),
            [.tensor(parts), .int(blocks), .float(1), .tensor(loss), .tensor(factor)])
        try overElements(
            "squared_error.cu", "squared_error_gradient", count: x.count, .tensor(x), .tensor(target), .tensor(factor),
            .tensor(gradient))
        return (loss, gradient)
    }

    public func sum(_ x: Tensor) throws -> Tensor {
        let result = try empty([], .float32)
        try device.launch(
            "losses.cu", "sum_values", grid: (1, 1, 1), block: (1024, 1),
            [.tensor(x), .long(x.count), .float(1), .tensor(result)])
        return result
    }
}
