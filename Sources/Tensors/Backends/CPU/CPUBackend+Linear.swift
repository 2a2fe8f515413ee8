import CKernels

extension CPUBackend {
    /// A few rows stream the weights once through dot products. Many rows go through tiles: oneDNN's where it is
    /// installed (x is rounded to bfloat16 for bfloat16 weights where the processor multiplies bfloat16), or ours.
    public func linear(_ x: Tensor, weights: [Tensor], biases: [Tensor?]) throws -> [Tensor] {
        let inputs = x.shape.last ?? 1
        let rows = x.count / max(inputs, 1)
        let results = try weights.map { try Tensor.empty(x.shape.dropLast() + [$0.shape[0]]) }
        let products = try zip(zip(weights, biases), results).map { pair, result in
            moult_product(
                weight: pair.0.address, bias: pair.1?.floats,
                // The result is fresh: nobody else sees it while the kernels write it.
                out: UnsafeMutablePointer(mutating: result.floats), outputs: Int64(pair.0.shape[0]),
                type: try pair.0.dtype.requiredKernelType(operation: "linear", argument: "weight"))
        }
        let status = withExtendedLifetime((x, weights, biases, results)) {
            moult_linear(x.floats, Int64(rows), Int64(inputs), products, Int64(products.count))
        }
        guard status == moult_success else { throw TensorError.outOfMemory(bytes: x.byteCount) }
        return results
    }

    public func negativeLogLikelihood(_ hidden: Tensor, head: Tensor, cap: Float?, targets: [Int32]) throws -> [Float] {
        let type = try head.dtype.requiredKernelType(operation: "negativeLogLikelihood", argument: "head")
        let inputs = head.shape[1]
        var losses = [Float](repeating: 0, count: targets.count)
        let status = withExtendedLifetime((hidden, head)) {
            moult_negative_log_likelihood(
                hidden.floats, Int64(targets.count), Int64(inputs), head.address, type, Int64(head.shape[0]), cap ?? 0,
                targets, &losses)
        }
        guard status == moult_success else { throw TensorError.outOfMemory(bytes: hidden.byteCount) }
        return losses
    }

    public func logits(_ hidden: Tensor, head: Tensor, cap: Float?) throws -> Tensor {
        let logits = try linear(hidden, weights: [head], biases: [nil])[0]
        return try cap.map { try capped(logits, by: $0) } ?? logits
    }

    public func indicesOfLargest(_ x: Tensor) throws -> Tensor {
        let width = x.shape[1]
        let indices = try x.withElements(Float.self) { values in
            (0..<x.shape[0]).map { row in
                let values = values[row * width..<(row + 1) * width]
                var best = values.startIndex
                for index in values.indices where values[index] > values[best] { best = index }
                return Int32(best - values.startIndex)
            }
        }
        return try Tensor(indices, shape: [x.shape[0]])
    }
}
