import CKernels

extension CPUBackend {
    public func linearBackward(_ gradients: [Tensor], weights: [Tensor]) throws -> Tensor {
        guard let gradient = gradients.first, let weight = weights.first else { return try Tensor.zeros([0]) }
        let inputs = weight.shape[1]
        let rows = gradient.count / max(weight.shape[0], 1)
        let terms = try zip(gradients, weights).map { gradient, weight in
            moult_term(
                gradient: gradient.floats, weight: weight.address, outputs: Int64(weight.shape[0]),
                type: try weight.dtype.requiredKernelType(operation: "linearBackward", argument: "weight"))
        }
        return try withExtendedLifetime((gradients, weights)) {
            try .filled(gradient.shape.dropLast() + [inputs]) {
                try moult_linear_backward(terms, Int64(terms.count), Int64(rows), Int64(inputs), $0)
                    .check(bytes: gradient.byteCount)
            }
        }
    }

    public func accumulateLinearGradient(
        _ gradient: Tensor, x: Tensor, into weight: inout Tensor?, half: Bool
    ) throws {
        let (outputs, inputs) = (gradient.shape.last ?? 1, x.shape.last ?? 1)
        let add = weight != nil
        // Taken out, so that it has one owner and is written in place.
        var sum = try weight.take() ?? .empty([outputs, inputs])
        try withExtendedLifetime((gradient, x)) {
            try sum.withMutable(Float.self) {
                try moult_linear_weight_gradient(
                    gradient.floats, x.floats, Int64(x.count / max(inputs, 1)), Int64(outputs), Int64(inputs), half,
                    add, $0.baseAddress
                ).check(bytes: gradient.byteCount + x.byteCount)
            }
        }
        weight = sum
    }

    public func accumulateColumnSums(_ gradient: Tensor, into bias: inout Tensor) throws {
        let columns = bias.count
        try withExtendedLifetime(gradient) {
            try bias.withMutable(Float.self) {
                moult_column_sums(
                    gradient.floats, Int64(gradient.count / max(columns, 1)), Int64(columns), $0.baseAddress)
            }
        }
    }

    public func accumulateEmbeddingGradient(_ gradient: Tensor, ids: Tensor, into table: inout Tensor) throws {
        let dim = table.shape[1]
        try withExtendedLifetime(gradient) {
            try table.withMutable(Float.self) {
                let sum = $0.baseAddress
                try ids.withElements(Int32.self) {
                    moult_embedding_backward(gradient.floats, $0.baseAddress, Int64($0.count), Int64(dim), sum)
                }
            }
        }
    }

    public func accumulate(_ x: Tensor, into y: inout Tensor, scale: Float) throws {
        try withExtendedLifetime(x) {
            try y.withMutable(Float.self) { moult_add_scaled(x.floats, scale, $0.baseAddress, Int64(x.count)) }
        }
    }

    public func normalisedBackward(
        _ gradient: Tensor, x: Tensor, _ norm: Normalisation, saved: Tensor?, more: Tensor?,
        weightGradient: inout Tensor
    ) throws -> Tensor {
        let own = try withExtendedLifetime((gradient, x, norm)) {
            try Tensor.filled(x.shape) { out in
                try weightGradient.withMutable(Float.self) {
                    var kernel = norm.kernel
                    try moult_norm_backward(
                        &kernel, gradient.floats, x.floats, out, $0.baseAddress, norm.rows(of: x)
                    ).check(bytes: x.byteCount)
                }
            }
        }
        return try more.map { try add($0, own) } ?? own
    }

    public func activatedBackward(_ gradient: Tensor, _ activation: Activation, x: Tensor) throws -> Tensor {
        try withExtendedLifetime((gradient, x)) {
            try .filled(x.shape) {
                moult_activated_backward(activation.kernel, gradient.floats, x.floats, $0, Int64(x.count))
            }
        }
    }

    public func gatedBackward(
        _ gradient: Tensor, _ activation: Activation, gate: Tensor, up: Tensor
    ) throws -> (gate: Tensor, up: Tensor) {
        var upGradient = try Tensor.empty(up.shape)
        let gateGradient = try withExtendedLifetime((gradient, gate, up)) {
            try Tensor.filled(gate.shape) { out in
                try upGradient.withMutable(Float.self) {
                    moult_gated_backward(
                        activation.kernel, gradient.floats, gate.floats, up.floats, out, $0.baseAddress,
                        Int64(gate.count))
                }
            }
        }
        return (gateGradient, upGradient)
    }

    public func logGateBackward(_ gradient: Tensor, x: Tensor, divisor: Float) throws -> Tensor {
        try withExtendedLifetime((gradient, x)) {
            try .filled(x.shape) { moult_log_gate_backward(gradient.floats, x.floats, divisor, $0, Int64(x.count)) }
        }
    }

    public func mixBackward(
        _ gradient: Tensor, x: Tensor, y: Tensor, logits: Tensor
    ) throws -> (x: Tensor, y: Tensor, logits: Tensor) {
        var (yGradient, logitsGradient) = (try Tensor.empty(y.shape), try Tensor.empty(logits.shape))
        let xGradient = try withExtendedLifetime((gradient, x, y, logits)) {
            try Tensor.filled(x.shape) { out in
                try yGradient.withMutable(Float.self) { yOut in
                    try logitsGradient.withMutable(Float.self) { logitsOut in
                        moult_mix_backward(
                            gradient.floats, x.floats, y.floats, logits.floats, out, yOut.baseAddress,
                            logitsOut.baseAddress, Int64(logits.count), Int64(x.shape.last ?? 1))
                    }
                }
            }
        }
        return (xGradient, yGradient, logitsGradient)
    }

    public func ropeBackward(
        _ gradient: Tensor, cosines: Tensor, sines: Tensor, offset: Int, documents: Documents?
    ) throws -> Tensor {
        try rotate(
            gradient, cosines: cosines, sines: sines, offset: offset, documents: documents, moult_rope_backward)
    }
}

extension moult_status {
    /// - Throws: ``TensorError/outOfMemory(bytes:)``, with about as many bytes as were asked for.
    func check(bytes: Int) throws {
        guard self == moult_success else { throw TensorError.outOfMemory(bytes: bytes) }
    }
}
