extension CUDABackend {
    public func recurrence(_ inputs: Recurrence, state: inout Tensor?) throws -> (result: Tensor, saved: [Tensor]) {
        throw TensorError.device("\(inputs.operation) is not computed on a GPU")
    }

    public func recurrenceBackward(
        _ gradient: Tensor, _ inputs: Recurrence, initial: Tensor?, finalGradient: Tensor?, saved: [Tensor]
    ) throws -> RecurrenceGradients {
        throw TensorError.device("\(inputs.operation) is not computed on a GPU")
    }
}
