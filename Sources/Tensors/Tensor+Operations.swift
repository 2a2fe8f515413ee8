/// The operations of a model. Each checks its arguments, then runs on the tensor's device and gives fresh tensors.
/// Shape letters are those of ``Backend``. All throw ``TensorError`` for shapes, types and values that do not fit.
extension Tensor {
    // MARK: Products

    /// x · weightᵀ + bias: x (..., I), weight (O, I) in float32, bfloat16 or float16, bias (O) → (..., O).
    public func linear(_ weight: Tensor, bias: Tensor? = nil) throws -> Tensor {
        try linear([weight], biases: [bias])[0]
    }

    /// The products of one input with several weights, for the price of one start. `biases` is empty or has one entry
    /// per weight.
    public func linear(_ weights: [Tensor], biases: [Tensor?] = []) throws -> [Tensor] {
        try requireFloat32("linear", "x")
        let inputs = try requireLastDimension("linear", "x")
        guard biases.isEmpty || biases.count == weights.count else {
            throw TensorError.range(
                operation: "linear", argument: "biases", expected: "none or \(weights.count)", found: "\(biases.count)")
        }
        for weight in weights {
            try weight.requireWeight("linear", "weight")
            try weight.requireShape("linear", "weight", [nil, inputs])
        }
        for (weight, bias) in zip(weights, biases) {
            try bias?.require("linear", "bias", [weight.shape[0]])
        }
        let all = biases.isEmpty ? [Tensor?](repeating: nil, count: weights.count) : biases
        return try device.backend.linear(self, weights: weights, biases: all)
    }

    /// Rows of `table` (R, D) picked by `ids` → (ids.count, D), float32. An id outside the table throws.
    public static func embedding(_ ids: [Int32], table: Tensor) throws -> Tensor {
        try table.requireWeight("embedding", "table")
        try table.requireShape("embedding", "table", [nil, nil])
        try requireIds(ids, below: table.shape[0], "embedding", "ids")
        return try table.device.backend.embedding(ids, table: table)
    }

    /// Negative log-likelihood, in nats, of one target per row under softmax(self · headᵀ): self (..., D),
    /// head (O, D). Holds no row of logits in full.
    public func negativeLogLikelihood(head: Tensor, targets: [Int32]) throws -> [Float] {
        let operation = "negativeLogLikelihood"
        try requireFloat32(operation, "hidden")
        let inputs = try requireLastDimension(operation, "hidden")
        try head.requireWeight(operation, "head")
        try head.requireShape(operation, "head", [nil, inputs])
        guard targets.count == count / inputs else {
            throw TensorError.range(
                operation: operation, argument: "targets", expected: "\(count / inputs), one per row",
                found: "\(targets.count)")
        }
        try Tensor.requireIds(targets, below: head.shape[0], operation, "targets")
        return try device.backend.negativeLogLikelihood(self, head: head, targets: targets)
    }

    // MARK: Element by element

    /// x / sqrt(mean(x²) + ε) · weight over the last dimension (Zhang and Sennrich 2019, arXiv 1910.07467).
    public func rmsNorm(weight: Tensor, epsilon: Float) throws -> Tensor {
        try requireFloat32("rmsNorm", "x")
        try weight.require("rmsNorm", "weight", [try requireLastDimension("rmsNorm", "x")])
        return try device.backend.rmsNorm(self, weight: weight, epsilon: epsilon)
    }

    /// self + y, of one shape.
    public func adding(_ y: Tensor) throws -> Tensor {
        try requireFloat32("adding", "x")
        try y.require("adding", "y", shape)
        return try device.backend.add(self, y)
    }

    /// x / (1 + exp(-x)).
    public func silu() throws -> Tensor {
        try requireFloat32("silu", "x")
        return try device.backend.silu(self)
    }

    /// silu(gate) · up, of one shape (Shazeer 2020, arXiv 2002.05202).
    public static func swiglu(gate: Tensor, up: Tensor) throws -> Tensor {
        try gate.requireFloat32("swiglu", "gate")
        try up.require("swiglu", "up", gate.shape)
        return try gate.device.backend.swiglu(gate: gate, up: up)
    }

    /// logsigmoid(x) / divisor: a log forget gate. `divisor` is positive.
    public func logGate(divisor: Float) throws -> Tensor {
        try requireFloat32("logGate", "x")
        guard divisor > 0 else {
            throw TensorError.range(
                operation: "logGate", argument: "divisor", expected: "a positive number", found: "\(divisor)")
        }
        return try device.backend.logGate(self, divisor: divisor)
    }

    /// w · x + (1 - w) · y with w = sigmoid(logits): x, y (B, T, H, V), logits (B, T, H).
    public static func mix(_ x: Tensor, _ y: Tensor, logits: Tensor) throws -> Tensor {
        try x.require("mix", "x", [nil, nil, nil, nil])
        try y.require("mix", "y", x.shape)
        try logits.require("mix", "logits", Array(x.shape.dropLast()))
        return try x.device.backend.mix(x, y, logits: logits)
    }

    /// Rotary position embedding (Su et al. 2021, arXiv 2104.09864): rotates the pairs (i, i + K/2) of every head of
    /// self (B, T, H, K). Token t uses row `offset` + t of `cosines` and `sines` (R, K/2).
    public func rope(cosines: Tensor, sines: Tensor, offset: Int) throws -> Tensor {
        try require("rope", "x", [nil, nil, nil, nil])
        guard shape[3] % 2 == 0 else {
            throw TensorError.shape(operation: "rope", argument: "x", expected: "an even head dimension", found: shape)
        }
        try cosines.require("rope", "cosines", [nil, shape[3] / 2])
        try sines.require("rope", "sines", cosines.shape)
        guard offset >= 0, offset <= cosines.shape[0] - shape[1] else {
            throw TensorError.range(
                operation: "rope", argument: "offset",
                expected: "positions within the \(cosines.shape[0]) rows of the tables",
                found: "\(shape[1]) tokens from \(offset)")
        }
        return try device.backend.rope(self, cosines: cosines, sines: sines, offset: offset)
    }
}
