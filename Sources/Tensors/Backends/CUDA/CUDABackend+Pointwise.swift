extension CUDABackend {
    public func pointwise(_ call: PointwiseCall) throws -> [Tensor] {
        throw TensorError.device("expressions have no kernel yet")
    }

    public func l2Normed(_ x: Tensor, epsilon: Float) throws -> Tensor {
        throw TensorError.device("l2Normed has no kernel yet")
    }

    public func l2NormedBackward(_ gradient: Tensor, x: Tensor, epsilon: Float) throws -> Tensor {
        throw TensorError.device("l2Normed has no kernel yet")
    }

    public func shortConvolution(
        _ call: ShortConvolution, isStateWanted: Bool
    ) throws -> (result: Tensor, state: Tensor?) {
        throw TensorError.device("shortConvolution has no kernel yet")
    }

    public func shortConvolutionBackward(
        _ gradient: Tensor, _ call: ShortConvolution, finalGradient: Tensor?
    ) throws -> ShortConvolutionGradients {
        throw TensorError.device("shortConvolution has no kernel yet")
    }
}
