/// The checks that operations make of their arguments, so that backends need none.
extension Tensor {
    func requireFloat32(_ operation: String, _ argument: String) throws {
        guard dtype == .float32 else {
            throw TensorError.dtype(operation: operation, argument: argument, expected: "float32", found: dtype)
        }
    }

    /// The type of activations on the tensor's device.
    func requireActivation(_ operation: String, _ argument: String) throws {
        let expected = device.activationType
        guard dtype == expected else {
            throw TensorError.dtype(
                operation: operation, argument: argument, expected: expected.rawValue, found: dtype)
        }
    }

    /// The same, and of that shape.
    func requireActivation(_ operation: String, _ argument: String, _ expected: [Int?]) throws {
        try requireActivation(operation, argument)
        try requireShape(operation, argument, expected)
    }

    /// A type that products and embeddings read.
    func requireWeight(_ operation: String, _ argument: String) throws {
        _ = try dtype.requiredKernelType(operation: operation, argument: argument)
    }

    /// A type of weights that can be trained.
    func requireTrainableWeight(_ operation: String, _ argument: String) throws {
        try requireWeight(operation, argument)
        try requirePlain(operation, argument)
    }

    /// A type that has one element after the other in memory.
    package func requirePlain(_ operation: String, _ argument: String) throws {
        guard !dtype.isQuantised else {
            throw TensorError.dtype(
                operation: operation, argument: argument,
                expected: "a type that is not quantised; convert it to float32 or bfloat16", found: dtype)
        }
    }

    /// Extents that match `expected`, in which nil stands for any extent.
    func requireShape(_ operation: String, _ argument: String, _ expected: [Int?]) throws {
        guard shape.count == expected.count, zip(shape, expected).allSatisfy({ $1 == nil || $0 == $1 }) else {
            let text = expected.map { $0.map(String.init) ?? "any" }.joined(separator: ", ")
            throw TensorError.shape(operation: operation, argument: argument, expected: "[\(text)]", found: shape)
        }
    }

    /// float32 and of that shape.
    func require(_ operation: String, _ argument: String, _ expected: [Int?]) throws {
        try requireFloat32(operation, argument)
        try requireShape(operation, argument, expected)
    }

    /// The last extent, at least one.
    func requireLastDimension(_ operation: String, _ argument: String) throws -> Int {
        guard let last = shape.last, last > 0 else {
            throw TensorError.shape(
                operation: operation, argument: argument, expected: "a last dimension of at least 1", found: shape)
        }
        return last
    }

    static func requireIds(_ ids: [Int32], below limit: Int, _ operation: String, _ argument: String) throws {
        guard let index = ids.firstIndex(where: { $0 < 0 || Int($0) >= limit }) else { return }
        throw TensorError.range(
            operation: operation, argument: "\(argument)[\(index)]", expected: "0..<\(limit)", found: "\(ids[index])")
    }

    /// A cap of scores or logits is a positive number.
    static func requireCap(_ cap: Float?, _ operation: String) throws {
        guard let cap, !(cap > 0 && cap.isFinite) else { return }
        throw TensorError.range(
            operation: operation, argument: "cap", expected: "a positive number, or none", found: "\(cap)")
    }

    /// Ascending starts within `length` positions of one sequence, the first being 0.
    static func requireDocuments(_ documents: Documents?, batch: Int, length: Int, _ operation: String) throws {
        guard let all = documents, all.firstPositions == nil else {
            try documents?.firstPositions?.requireShape(operation, "documents", [batch, length])
            return
        }
        let documents = all.starts
        let ascending = zip(documents, documents.dropFirst()).allSatisfy { $0 < $1 }
        guard batch == 1, documents.first == 0, ascending, documents.last ?? 0 < max(length, 1) else {
            throw TensorError.range(
                operation: operation, argument: "documents",
                expected: "ascending starts from 0 below \(length), with a batch of 1",
                found: "\(documents.prefix(8)) with a batch of \(batch)")
        }
    }
}
