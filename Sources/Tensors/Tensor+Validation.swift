/// The checks that operations make of their arguments, so that backends need none.
extension Tensor {
    func requireFloat32(_ operation: String, _ argument: String) throws {
        guard dtype == .float32 else {
            throw TensorError.dtype(operation: operation, argument: argument, expected: "float32", found: dtype)
        }
    }

    /// A type of activations on the tensor's device.
    func requireActivation(_ operation: String, _ argument: String) throws {
        let precisions = device.traits.precisions
        guard precisions.contains(where: { $0.dtype == dtype }) else {
            throw TensorError.dtype(
                operation: operation, argument: argument,
                expected: precisions.map(\.dtype.rawValue).joined(separator: " or "), found: dtype)
        }
    }

    /// The operations of the device that this tensor is on, and all `others`.
    /// - Throws: ``TensorError/devices(operation:expected:found:)``.
    func backend(_ operation: String, with others: Tensor?...) throws -> any Backend {
        try requireDevice(operation, others)
        return Tensor.backend(of: [self] + others)
    }

    /// The operations of the device of `tensors`, at least one; those of a step, where one of them is captured in it.
    static func backend(of tensors: [Tensor?]) -> any Backend {
        let runtimes = tensors.lazy.compactMap { $0?.storage }
        return (runtimes.first { $0.captured != nil } ?? runtimes.first)?.runtime.backend ?? CPUBackend.shared
    }

    /// The same for operations of training.
    func gradientBackend(_ operation: String, with others: Tensor?...) throws -> any GradientBackend {
        try requireDevice(operation, others)
        return storage.runtime.gradientBackend
    }

    /// The same for operations of recorded work.
    func recordingBackend(_ operation: String, with others: Tensor?...) throws -> any RecordingBackend {
        try requireDevice(operation, others)
        guard let backend = storage.runtime.recording else {
            throw TensorError.device("\(operation) is for a device whose work is recorded; found \(device)")
        }
        return backend
    }

    func requireDevice(_ operation: String, _ others: [Tensor?]) throws {
        let device = device
        for case let other? in others where other.device != device {
            throw TensorError.devices(operation: operation, expected: device, found: other.device)
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
        guard let documents else { return }
        if let rows = documents.rows { return try rows.requireShape(operation, "documents", [batch, length]) }
        let starts = try documents.starts()
        let ascending = zip(starts, starts.dropFirst()).allSatisfy { $0 < $1 }
        guard batch == 1, starts.first == 0, ascending, starts.last ?? 0 < max(length, 1) else {
            throw TensorError.range(
                operation: operation, argument: "documents",
                expected: "ascending starts from 0 below \(length), with a batch of 1",
                found: "\(starts.prefix(8)) with a batch of \(batch)")
        }
    }
}
