import CKernels

extension CPUBackend {
    public func add(_ x: Tensor, _ y: Tensor) throws -> Tensor {
        try withExtendedLifetime((x, y)) {
            try .filled(x.shape) { moult_add(x.floats, y.floats, $0, Int64(x.count)) }
        }
    }

    public func silu(_ x: Tensor) throws -> Tensor {
        try withExtendedLifetime(x) {
            try .filled(x.shape) { moult_silu(x.floats, $0, Int64(x.count)) }
        }
    }

    public func swiglu(gate: Tensor, up: Tensor) throws -> Tensor {
        try withExtendedLifetime((gate, up)) {
            try .filled(gate.shape) { moult_swiglu(gate.floats, up.floats, $0, Int64(gate.count)) }
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
