extension CPUBackend {
    public func gatedSlotAttention(
        q: Tensor, k: Tensor, v: Tensor, logGates: Tensor, scale: Float, state: inout GatedSlotState, documents: [Int]?
    ) throws -> Tensor {
        throw TensorError.range(
            operation: "gatedSlotAttention", argument: "device", expected: "a kernel", found: "none yet")
    }
}
