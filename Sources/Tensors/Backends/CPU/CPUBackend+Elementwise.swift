import CKernels

extension CPUBackend {
    public func add(_ x: Tensor, _ y: Tensor) throws -> Tensor {
        try withExtendedLifetime((x, y)) {
            try .filled(x.shape) { moult_add(x.floats, y.floats, $0, Int64(x.count)) }
        }
    }

    public func scaled(_ x: Tensor, by factor: Float) throws -> Tensor {
        try withExtendedLifetime(x) {
            try .filled(x.shape) { moult_scale(x.floats, factor, $0, Int64(x.count)) }
        }
    }

    /// cap · tanh(x / cap).
    func capped(_ x: Tensor, by cap: Float) throws -> Tensor {
        try withExtendedLifetime(x) {
            try .filled(x.shape) { moult_cap(x.floats, cap, $0, Int64(x.count)) }
        }
    }

    public func activated(_ x: Tensor, _ activation: Activation) throws -> Tensor {
        try withExtendedLifetime(x) {
            try .filled(x.shape) { moult_activated(activation.kernel, x.floats, $0, Int64(x.count)) }
        }
    }

    public func gated(_ activation: Activation, gate: Tensor, up: Tensor) throws -> Tensor {
        try withExtendedLifetime((gate, up)) {
            try .filled(gate.shape) { moult_gated(activation.kernel, gate.floats, up.floats, $0, Int64(gate.count)) }
        }
    }

    public func logGate(_ x: Tensor, divisor: Float) throws -> Tensor {
        try withExtendedLifetime(x) {
            try .filled(x.shape) { moult_log_gate(x.floats, divisor, $0, Int64(x.count)) }
        }
    }

    public func mix(_ x: Tensor, _ y: Tensor, logits: Tensor) throws -> Tensor {
        try withExtendedLifetime((x, y, logits)) {
            try .filled(x.shape) {
                moult_mix(x.floats, y.floats, logits.floats, $0, Int64(logits.count), Int64(x.shape.last ?? 1))
            }
        }
    }
}
