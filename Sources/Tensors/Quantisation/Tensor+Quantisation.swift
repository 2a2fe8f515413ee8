import CKernels

extension Tensor {
    /// Rounds a weight (O, I), I a multiple of 32, to 8 or 4 bits. The scale and zero of every 32 inputs of an output are
    /// those, of a search over symmetric and asymmetric ranges, their least-squares refinement and their neighbours, that
    /// leave the smallest squared error.
    /// - Parameters:
    ///   - type: ``DType/q8`` or ``DType/q4``.
    ///   - feedback: weighs the errors by the weight's inputs, and corrects each weight for the errors of those before
    ///     it; nil weighs all errors the same.
    /// - Throws: ``TensorError`` for another type or shape, and for weights that are NaN or infinite.
    public func quantised(to type: DType, feedback: ErrorFeedback? = nil) throws -> QuantisedWeight {
        guard type.isQuantised else {
            throw TensorError.dtype(operation: "quantised", argument: "type", expected: "q8 or q4", found: type)
        }
        guard dtype.isFloatingPoint else {
            throw TensorError.dtype(
                operation: "quantised", argument: "weight", expected: "a floating-point type", found: dtype)
        }
        let kernelType = try type.requiredKernelType(operation: "quantised", argument: "type")
        if let feedback { try requireShape("quantised", "weight", [nil, feedback.inputs]) }
        let weight = try converted(to: .float32)
        try weight.requireFinite("quantised", "weight")
        var sums = [[Double]](repeating: [], count: 3)
        let tensor = try Tensor(shape, type) { out in
            let tileRows = Int(moult_tile_rows(Int64(shape[0])))
            var errors = [Double](repeating: 0, count: tileRows), (squares, symmetric) = (errors, errors)
            var job = moult_quantise(
                weight: weight.floats, outputs: Int64(shape[0]), inputs: Int64(shape[1]), type: kernelType,
                importance: feedback?.importance.floats, feedback: feedback?.panels.floats, out: out.baseAddress,
                squared_errors: nil, squares: nil, symmetric_groups: nil)
            try withExtendedLifetime((weight, feedback)) {
                try errors.withUnsafeMutableBufferPointer { errors in
                    try squares.withUnsafeMutableBufferPointer { squares in
                        try symmetric.withUnsafeMutableBufferPointer { symmetric in
                            job.squared_errors = errors.baseAddress
                            job.squares = squares.baseAddress
                            job.symmetric_groups = symmetric.baseAddress
                            try moult_quantise(&job).check(bytes: weight.byteCount)
                        }
                    }
                }
            }
            sums = [errors, squares, symmetric]
        }
        let totals = sums.map { $0.reduce(0, +) }
        return QuantisedWeight(
            tensor: tensor, squaredError: totals[0], squaredSum: totals[1],
            groups: count / Int(moult_group_inputs), symmetricGroups: Int(totals[2]))
    }

    private func requireFinite(_ operation: String, _ argument: String) throws {
        // NaN and infinity times zero are NaN.
        let sum = try withElements(Float.self) { $0.reduce(Float(0)) { $0 + $1 * 0 } }
        guard sum == 0 else {
            throw TensorError.range(
                operation: operation, argument: argument, expected: "finite numbers", found: "NaN or infinity")
        }
    }
}
