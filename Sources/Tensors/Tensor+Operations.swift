/// The operations of a model. Each checks its arguments, runs on the tensor's device, gives fresh tensors, and records how
/// gradients go back through it when an argument is watched by a ``GradientTape``. What is recorded holds on to the tensors
/// that the way back reads, and of others to their variables alone.
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
        try requireActivation("linear", "x")
        let inputs = try requireLastDimension("linear", "x")
        guard biases.isEmpty || biases.count == weights.count else {
            throw TensorError.range(
                operation: "linear", argument: "biases", expected: "none or \(weights.count)", found: "\(biases.count)")
        }
        for weight in weights {
            try weight.requireWeight("linear", "weight")
            if isRecorded || weight.isRecorded { try weight.requirePlain("linear", "weight") }
            try weight.requireShape("linear", "weight", [nil, inputs])
        }
        for (weight, bias) in zip(weights, biases) {
            try bias?.require("linear", "bias", [weight.shape[0]])
        }
        let all = biases.isEmpty ? [Tensor?](repeating: nil, count: weights.count) : biases
        try requireDevice("linear", weights + all)
        let backend = storage.runtime.backend
        let gradientBackend = storage.runtime.gradientBackend
        let results = try backend.linear(self, weights: weights, biases: all)
        return Tensor.record(results, of: [self] + weights + all) { gradients in
            let used = gradients.enumerated().compactMap { index, gradient in gradient.map { (index, $0) } }
            if let variable {
                try variable.add(gradientBackend.linearBackward(used.map(\.1), weights: used.map { weights[$0.0] }))
            }
            for (index, gradient) in used {
                let weight = weights[index]
                try weight.variable?.accumulate {
                    try gradientBackend.accumulateLinearGradient(
                        gradient, x: self, into: &$0, half: weight.dtype != .float32)
                }
                if let bias = all[index] {
                    try bias.variable?.accumulate(like: bias) {
                        try gradientBackend.accumulateColumnSums(gradient, into: &$0)
                    }
                }
            }
        }
    }

    /// Rows of `table` (R, D) picked by `ids` → (ids.count, D), float32. An id outside the table throws.
    public static func embedding(_ ids: [Int32], table: Tensor) throws -> Tensor {
        try table.requireShape("embedding", "table", [nil, nil])
        try requireIds(ids, below: table.shape[0], "embedding", "ids")
        return try embedding(Tensor(ids, shape: [ids.count]).to(table.device), table: table)
    }

    /// The same for `ids` in a tensor, int32 on the table's device, all within the table.
    public static func embedding(_ ids: Tensor, table: Tensor) throws -> Tensor {
        try table.requireWeight("embedding", "table")
        if table.isRecorded { try table.requirePlain("embedding", "table") }
        try table.requireShape("embedding", "table", [nil, nil])
        let backend = try table.backend("embedding", with: ids)
        let gradientBackend = table.storage.runtime.gradientBackend
        return try backend.embedding(ids, table: table).recorded(of: table) { gradient in
            try table.withGradient { try gradientBackend.accumulateEmbeddingGradient(gradient, ids: ids, into: &$0) }
        }
    }

    /// Negative log-likelihood, in nats, of one target per row under softmax(self · headᵀ): self (..., D),
    /// head (O, D). Holds no row of logits in full.
    /// - Parameter cap: logits are cap · tanh(logit / cap); nil for none.
    public func negativeLogLikelihood(head: Tensor, targets: [Int32], cap: Float? = nil) throws -> [Float] {
        let operation = "negativeLogLikelihood"
        try Tensor.requireCap(cap, operation)
        try requireActivation(operation, "hidden")
        let inputs = try requireLastDimension(operation, "hidden")
        try head.requireWeight(operation, "head")
        try head.requireShape(operation, "head", [nil, inputs])
        guard targets.count == count / inputs else {
            throw TensorError.range(
                operation: operation, argument: "targets", expected: "\(count / inputs), one per row",
                found: "\(targets.count)")
        }
        try Tensor.requireIds(targets, below: head.shape[0], operation, "targets")
        return try backend(operation, with: head).negativeLogLikelihood(self, head: head, cap: cap, targets: targets)
    }

    // MARK: Element by element

    /// x / sqrt(mean(x²) + ε) · weight over the last dimension; see ``Normalisation``.
    public func rmsNorm(weight: Tensor, epsilon: Float) throws -> Tensor {
        try normalised(Normalisation(.rms, weight: weight, epsilon: epsilon))
    }

    /// (x - mean) / sqrt(var + ε) · weight + bias over the last dimension; see ``Normalisation``.
    public func layerNorm(weight: Tensor, bias: Tensor? = nil, epsilon: Float) throws -> Tensor {
        try normalised(Normalisation(.layer, weight: weight, bias: bias, epsilon: epsilon))
    }

    /// The rows of the last dimension brought to one size.
    public func normalised(_ norm: Normalisation) throws -> Tensor {
        let operation = "\(norm.kind.rawValue)Norm"
        try requireActivation(operation, "x")
        try norm.require(operation, width: try requireLastDimension(operation, "x"))
        let backend = try backend(operation, with: norm.weight, norm.bias)
        let gradientBackend = storage.runtime.gradientBackend
        let (result, saved) = try backend.normalised(self, norm)
        return result.recorded(of: self, norm.weight, norm.bias) { gradient in
            if let bias = norm.bias {
                try bias.variable?.accumulate(like: bias) {
                    try gradientBackend.accumulateColumnSums(gradient, into: &$0)
                }
            }
            // What has gone past the norm, along the residual stream, is there already.
            let more = variable?.takeGradient()
            let sum = try norm.weight.withGradient {
                try gradientBackend.normalisedBackward(
                    gradient, x: self, norm, saved: saved, more: more, weightGradient: &$0)
            }
            variable?.begin(with: sum)
        }
    }

    /// self + y, of one shape.
    public func adding(_ y: Tensor) throws -> Tensor {
        try requireActivation("adding", "x")
        try y.requireActivation("adding", "y", shape)
        return try backend("adding", with: y).add(self, y).recorded(of: self, y) {
            [variable, other = y.variable] gradient in
            try variable?.add(gradient)
            try other?.add(gradient)
        }
    }

    /// factor · x.
    public func scaled(by factor: Float) throws -> Tensor {
        try requireActivation("scaled", "x")
        let backend = storage.runtime.backend
        return try backend.scaled(self, by: factor).recorded(of: self) { [variable] in
            try variable?.add(backend.scaled($0, by: factor))
        }
    }

    /// act(x).
    public func activated(_ activation: Activation) throws -> Tensor {
        try requireActivation("activated", "x")
        let backend = storage.runtime.backend
        let gradientBackend = storage.runtime.gradientBackend
        return try backend.activated(self, activation).recorded(of: self) {
            try variable?.add(gradientBackend.activatedBackward($0, activation, x: self))
        }
    }

    /// act(gate) · up, of one shape (Shazeer 2020, arXiv 2002.05202).
    public static func gated(_ activation: Activation, gate: Tensor, up: Tensor) throws -> Tensor {
        try gate.requireActivation("gated", "gate")
        try up.requireActivation("gated", "up", gate.shape)
        let backend = try gate.backend("gated", with: up)
        let gradientBackend = gate.storage.runtime.gradientBackend
        return try backend.gated(activation, gate: gate, up: up).recorded(of: gate, up) {
            let gradients = try gradientBackend.gatedBackward($0, activation, gate: gate, up: up)
            try gate.variable?.add(gradients.gate)
            try up.variable?.add(gradients.up)
        }
    }

    /// logsigmoid(x) / divisor: a log forget gate. `divisor` is positive.
    public func logGate(divisor: Float) throws -> Tensor {
        try requireActivation("logGate", "x")
        guard divisor > 0 else {
            throw TensorError.range(
                operation: "logGate", argument: "divisor", expected: "a positive number", found: "\(divisor)")
        }
        let backend = storage.runtime.backend
        let gradientBackend = storage.runtime.gradientBackend
        return try backend.logGate(self, divisor: divisor).recorded(of: self) {
            try variable?.add(gradientBackend.logGateBackward($0, x: self, divisor: divisor))
        }
    }

    /// w · x + (1 - w) · y with w = sigmoid(logits): x, y (B, T, H, V), logits (B, T, H).
    public static func mix(_ x: Tensor, _ y: Tensor, logits: Tensor) throws -> Tensor {
        try x.requireActivation("mix", "x", [nil, nil, nil, nil])
        try y.requireActivation("mix", "y", x.shape)
        try logits.requireActivation("mix", "logits", Array(x.shape.dropLast()))
        let backend = try x.backend("mix", with: y, logits)
        let gradientBackend = x.storage.runtime.gradientBackend
        return try backend.mix(x, y, logits: logits).recorded(of: x, y, logits) {
            let gradients = try gradientBackend.mixBackward($0, x: x, y: y, logits: logits)
            try x.variable?.add(gradients.x)
            try y.variable?.add(gradients.y)
            try logits.variable?.add(gradients.logits)
        }
    }

    /// Rotary position embedding (Su et al. 2021, arXiv 2104.09864): rotates the pairs (i, i + K/2) of every head of
    /// self (B, T, H, K). Token t uses row `offset` + t of `cosines` and `sines` (R, K/2).
    /// - Parameter documents: where positions begin again, at `offset`; nil where there is one document.
    public func rope(cosines: Tensor, sines: Tensor, offset: Int, documents: Documents? = nil) throws -> Tensor {
        try requireActivation("rope", "x", [nil, nil, nil, nil])
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
        let backend = try backend("rope", with: cosines, sines, documents?.rows)
        let gradientBackend = storage.runtime.gradientBackend
        let result = try backend.rope(self, cosines: cosines, sines: sines, offset: offset, documents: documents)
        return result.recorded(of: self) { [variable] in
            try variable?.add(
                gradientBackend.ropeBackward($0, cosines: cosines, sines: sines, offset: offset, documents: documents))
        }
    }
}
