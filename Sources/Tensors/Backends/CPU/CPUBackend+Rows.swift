import CKernels

extension CPUBackend {
    public func embedding(_ ids: [Int32], table: Tensor) throws -> Tensor {
        let type = try table.dtype.requiredKernelType(operation: "embedding", argument: "table")
        let dim = table.shape[1]
        return try withExtendedLifetime(table) {
            try .filled([ids.count, dim]) {
                moult_embedding(ids, Int64(ids.count), table.address, type, Int64(dim), $0)
            }
        }
    }

    public func rmsNorm(_ x: Tensor, weight: Tensor, epsilon: Float) throws -> Tensor {
        let dim = weight.count
        return try withExtendedLifetime((x, weight)) {
            try .filled(x.shape) {
                moult_rms_norm(x.floats, weight.floats, epsilon, $0, Int64(x.count / max(dim, 1)), Int64(dim))
            }
        }
    }

    public func rope(_ x: Tensor, cosines: Tensor, sines: Tensor, offset: Int) throws -> Tensor {
        try withExtendedLifetime((x, cosines, sines)) {
            try .filled(x.shape) {
                moult_rope(
                    x.floats, cosines.floats, sines.floats, Int64(offset), $0, Int64(x.shape[0]), Int64(x.shape[1]),
                    Int64(x.shape[2]), Int64(x.shape[3]))
            }
        }
    }
}
