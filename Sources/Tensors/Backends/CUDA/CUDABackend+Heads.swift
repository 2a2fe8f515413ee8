extension CUDABackend {
    public func pickHeads(_ x: Tensor, _ heads: HeadSet, of count: Int) throws -> Tensor {
        throw TensorError.device("pickHeads")
    }

    public func joinHeads(_ some: Tensor?, _ others: Tensor?, by heads: HeadSet, of count: Int) throws -> Tensor {
        throw TensorError.device("joinHeads")
    }
}
