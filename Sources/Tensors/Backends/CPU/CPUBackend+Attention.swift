extension CPUBackend {
    public func attention(
        q: Tensor, k: Tensor, v: Tensor, scale: Float, window: Int?, documents: [Int]?
    ) throws -> Tensor {
        throw TensorError.range(operation: "attention", argument: "device", expected: "a kernel", found: "none yet")
    }
}
