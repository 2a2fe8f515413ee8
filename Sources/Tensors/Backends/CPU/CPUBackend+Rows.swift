import CKernels

extension CPUBackend {
    public func embedding(_ ids: Tensor, table: Tensor) throws -> Tensor {
        let type = try table.dtype.requiredKernelType(operation: "embedding", argument: "table")
        let dim = table.shape[1]
        return try withExtendedLifetime(table) {
            try .filled([ids.count, dim]) {
                let out = $0
                try ids.withElements(Int32.self) {
                    moult_embedding($0.baseAddress, Int64($0.count), table.address, type, Int64(dim), out)
                }
            }
        }
    }

    public func normalised(_ x: Tensor, _ norm: Normalisation) throws -> (result: Tensor, saved: Tensor?) {
        let result = try withExtendedLifetime((x, norm)) {
            try Tensor.filled(x.shape) {
                var kernel = norm.kernel
                moult_norm(&kernel, x.floats, $0, norm.rows(of: x))
            }
        }
        return (result, nil)
    }

    public func rope(
        _ x: Tensor, cosines: Tensor, sines: Tensor, offset: Int, documents: Documents?
    ) throws -> Tensor {
        try rotate(x, cosines: cosines, sines: sines, offset: offset, documents: documents, moult_rope)
    }

    /// The rotation that `turn` does, of each of `documents`, which are B = 1, from `offset` on.
    func rotate(
        _ x: Tensor, cosines: Tensor, sines: Tensor, offset: Int, documents: Documents?,
        _ turn: (
            UnsafePointer<Float>?, UnsafePointer<Float>?, UnsafePointer<Float>?, Int64, UnsafeMutablePointer<Float>?,
            Int64, Int64, Int64, Int64
        ) -> Void
    ) throws -> Tensor {
        let (starts, size) = (try documents?.starts() ?? [0], x.shape[2] * x.shape[3])
        return try withExtendedLifetime((x, cosines, sines)) {
            try .filled(x.shape) { out in
                guard let values = x.floats, let out else { return }
                for (start, end) in zip(starts, starts.dropFirst() + [x.shape[1]]) {
                    turn(
                        values + start * size, cosines.floats, sines.floats, Int64(offset), out + start * size,
                        Int64(x.shape[0]), Int64(end - start), Int64(x.shape[2]), Int64(x.shape[3]))
                }
            }
        }
    }
}

extension Normalisation {
    /// What the kernels are told; valid while the tensors live.
    var kernel: moult_norm {
        moult_norm(
            centred: kind == .layer, dim: Int64(weight.count), epsilon: epsilon, weight: weight.floats,
            bias: bias?.floats)
    }

    /// The rows of K elements in x.
    func rows(of x: Tensor) -> Int64 { Int64(x.count / max(weight.count, 1)) }
}
