import CKernels

extension CPUBackend {
    public func shortConvolution(
        _ call: ShortConvolution, isStateWanted: Bool
    ) throws -> (result: Tensor, state: Tensor?) {
        var final = isStateWanted ? try Tensor.empty(call.stateShape) : nil
        let result = try Tensor.filled(call.x.shape) { out in
            try call.withKernel { kernel in
                try final.withFloats {
                    try moult_short_convolution(kernel, out, $0).check(bytes: call.weight.byteCount)
                }
            }
        }
        return (result, final)
    }

    public func shortConvolutionBackward(
        _ gradient: Tensor, _ call: ShortConvolution, finalGradient: Tensor?
    ) throws -> ShortConvolutionGradients {
        var weight = try Tensor.empty(call.weight.shape)
        var bias = try call.bias.map { try Tensor.empty($0.shape) }
        var state = try call.state.map { try Tensor.empty($0.shape) }
        let x = try withExtendedLifetime((gradient, finalGradient)) {
            try Tensor.filled(call.x.shape) { out in
                try call.withKernel { kernel in
                    try weight.withMutable(Float.self) { weight in
                        try bias.withFloats { bias in
                            try state.withFloats { state in
                                try moult_short_convolution_backward(
                                    kernel, gradient.floats, finalGradient?.floats, out, weight.baseAddress, bias, state
                                ).check(bytes: call.x.byteCount)
                            }
                        }
                    }
                }
            }
        }
        return ShortConvolutionGradients(x: x, weight: weight, bias: bias, state: state)
    }

    public func l2Normed(_ x: Tensor, epsilon: Float) throws -> Tensor {
        let dim = x.shape.last ?? 1
        return try withExtendedLifetime(x) {
            try .filled(x.shape) { moult_l2_norm(x.floats, epsilon, $0, Int64(x.count / dim), Int64(dim)) }
        }
    }

    public func l2NormedBackward(_ gradient: Tensor, x: Tensor, epsilon: Float) throws -> Tensor {
        let dim = x.shape.last ?? 1
        return try withExtendedLifetime((gradient, x)) {
            try .filled(x.shape) {
                moult_l2_norm_backward(
                    gradient.floats, x.floats, epsilon, $0, Int64(x.count / dim), Int64(dim))
            }
        }
    }
}

extension ShortConvolution {
    /// Calls `body` with what the kernels are told.
    fileprivate func withKernel<Result>(
        _ body: (UnsafePointer<moult_short_convolution>) throws -> Result
    ) throws -> Result {
        let first = try documents?.firstPositions(length: x.shape[1], on: .cpu)
        var kernel = moult_short_convolution(
            batch: Int64(x.shape[0]), tokens: Int64(x.shape[1]), dim: Int64(x.shape[2]), width: Int64(width),
            x: x.floats, weight: weight.floats, bias: bias?.floats, state: state?.floats,
            first: first?.address.map { $0.assumingMemoryBound(to: Int32.self) }, is_activated: activation != nil,
            activation: activation?.kernel ?? moult_silu)
        return try withExtendedLifetime((self, first)) { try body(&kernel) }
    }
}

extension Tensor? {
    /// Calls `body` with the elements of a float32 tensor for writing, or with nil.
    fileprivate mutating func withFloats<Result>(
        _ body: (UnsafeMutablePointer<Float>?) throws -> Result
    ) throws -> Result {
        // Taken out, so that it has one owner and is written in place.
        guard var tensor = take() else { return try body(nil) }
        defer { self = tensor }
        return try tensor.withMutable(Float.self) { try body($0.baseAddress) }
    }
}
