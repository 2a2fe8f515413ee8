import CKernels

extension Tensor {
    /// The same numbers as another floating-point type, rounded to nearest, ties to even; those that the codes of a
    /// quantised tensor stand for.
    /// - Throws: ``TensorError/dtype(operation:argument:expected:found:)`` for types that are not floating-point, and for
    ///   a quantised `type`.
    public func converted(to type: DType) throws -> Tensor {
        if type == dtype { return self }
        guard storage.hostBytes != nil else { return try to(.cpu).converted(to: type).to(device) }
        let readable = dtype.isFloatingPoint || dtype.isQuantised
        guard type.isFloatingPoint, readable else {
            throw TensorError.dtype(
                operation: "converted", argument: "tensor", expected: "floating-point types",
                found: readable ? type : dtype)
        }
        if dtype.isQuantised { return try dequantised().converted(to: type) }
        if dtype == .float64 { return try narrowed().converted(to: type) }
        if type == .float64 { return try converted(to: .float32).widened() }
        guard let from = dtype.kernelType, let to = type.kernelType else { return self }
        let result = try Tensor.empty(shape, type)
        withExtendedLifetime((self, result)) {
            // The result is fresh: nobody else sees it while the kernels write it.
            moult_convert(address, from, UnsafeMutableRawPointer(mutating: result.address), to, Int64(count))
        }
        return result
    }

    private func dequantised() throws -> Tensor {
        let type = try dtype.requiredKernelType(operation: "converted", argument: "tensor")
        return try withExtendedLifetime(self) {
            try .filled(shape) { moult_widen_grouped(address, type, Int64(shape[0]), Int64(shape[1]), $0) }
        }
    }

    private func narrowed() throws -> Tensor {
        try withElements(Double.self) { try Tensor($0.map { Float($0) }, shape: shape) }
    }

    private func widened() throws -> Tensor {
        try withElements(Float.self) { try Tensor($0.map { Double($0) }, shape: shape) }
    }
}
