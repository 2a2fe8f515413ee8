/// Expressions over the elements of tensors. Inputs are float32 or activations. Each has the shape of the result, or goes along with
/// it: the last extents of it (a weight or a bias), or the first of it and then ones (a number for every row or head), or some
/// within it, such as (H, 1) for (B, T, H, K). Gradients come from the expression, in the types of the inputs.
extension Tensor {
    /// The expression for every element of the shape that the inputs have together.
    /// - Parameter type: float32, or the type of activations on the inputs' device, for nil too.
    /// - Throws: ``TensorError`` for shapes that do not go together, and for other types.
    public static func pointwise(
        _ inputs: [Tensor], as type: DType? = nil, _ expression: ([Pointwise]) -> Pointwise
    ) throws -> Tensor {
        try pointwise("pointwise", inputs, as: type, isSummed: false, expression)
    }

    /// The same of one input.
    public static func pointwise(
        _ x: Tensor, as type: DType? = nil, _ expression: (Pointwise) -> Pointwise
    ) throws -> Tensor {
        try pointwise([x], as: type) { expression($0[0]) }
    }

    /// The same of two inputs.
    public static func pointwise(
        _ x: Tensor, _ y: Tensor, as type: DType? = nil, _ expression: (Pointwise, Pointwise) -> Pointwise
    ) throws -> Tensor {
        try pointwise([x, y], as: type) { expression($0[0], $0[1]) }
    }

    /// The same of three inputs.
    public static func pointwise(
        _ x: Tensor, _ y: Tensor, _ z: Tensor, as type: DType? = nil,
        _ expression: (Pointwise, Pointwise, Pointwise) -> Pointwise
    ) throws -> Tensor {
        try pointwise([x, y, z], as: type) { expression($0[0], $0[1], $0[2]) }
    }

    /// The same of four inputs.
    public static func pointwise(
        _ x: Tensor, _ y: Tensor, _ z: Tensor, _ w: Tensor, as type: DType? = nil,
        _ expression: (Pointwise, Pointwise, Pointwise, Pointwise) -> Pointwise
    ) throws -> Tensor {
        try pointwise([x, y, z, w], as: type) { expression($0[0], $0[1], $0[2], $0[3]) }
    }

    /// The sums of an expression over the last dimension: of inputs that together are (..., K), (..., 1).
    /// - Parameter type: as for ``pointwise(_:as:_:)-([Tensor],_,_)``.
    public static func pointwiseSums(
        _ inputs: [Tensor], as type: DType? = nil, _ expression: ([Pointwise]) -> Pointwise
    ) throws -> Tensor {
        try pointwise("pointwiseSums", inputs, as: type, isSummed: true, expression)
    }

    private static func pointwise(
        _ operation: String, _ inputs: [Tensor], as type: DType?, isSummed: Bool,
        _ expression: ([Pointwise]) -> Pointwise
    ) throws -> Tensor {
        guard let device = inputs.first?.device else {
            throw TensorError.range(operation: operation, argument: "inputs", expected: "at least one", found: "none")
        }
        guard inputs.count <= PointwiseProgram.mostInputs else {
            throw TensorError.range(
                operation: operation, argument: "inputs", expected: "at most \(PointwiseProgram.mostInputs)",
                found: "\(inputs.count)")
        }
        let precision = device.traits.precision.dtype
        let types = precision == .float32 ? [precision] : [.float32, precision]
        func requireType(_ argument: String, _ found: DType) throws {
            guard !types.contains(found) else { return }
            throw TensorError.dtype(
                operation: operation, argument: argument,
                expected: types.map(\.rawValue).joined(separator: " or "), found: found)
        }
        for (index, input) in inputs.enumerated() { try requireType("input \(index)", input.dtype) }
        let type = type ?? precision
        try requireType("type", type)
        try inputs[0].requireDevice(operation, inputs)
        var shape = inputs[0].shape
        for (index, input) in inputs.enumerated().dropFirst() {
            guard let both = Broadcast.shape(of: [shape, input.shape]) else {
                throw TensorError.shape(
                    operation: operation, argument: "input \(index)", expected: "extents of \(shape), or 1",
                    found: input.shape)
            }
            shape = both
        }
        if isSummed, shape.isEmpty {
            throw TensorError.shape(
                operation: operation, argument: "inputs", expected: "a last dimension", found: shape)
        }
        let program = PointwiseProgram(expression(inputs.indices.map(Pointwise.init(input:))), inputs: inputs.count)
        guard program.steps.count <= PointwiseProgram.mostSteps else {
            throw TensorError.range(
                operation: operation, argument: "expression", expected: "at most \(PointwiseProgram.mostSteps) steps",
                found: "\(program.steps.count)")
        }
        let named = inputs.enumerated().map { ("input \($0)", $1) }
        let found = isSummed ? shape.dropLast() + [1] : shape
        let backend = inputs[0].storage.runtime.backend
        let result = try PointwiseCall(operation, program, of: shape, named, results: [(found, type)])
            .run(on: backend)[0]
        guard inputs.contains(where: \.isRecorded) else { return result }
        let wanted = inputs.indices.filter { inputs[$0].variable != nil }
        let (way, sources, places) = program.gradients(of: wanted)
        // Only what the way back reads is held on to, and of others their variables.
        let kept = sources.map { $0.map { inputs[$0].detached } }
        let targets = zip(wanted, places).compactMap { index, place in
            place.map {
                (place: $0, variable: inputs[index].variable, shape: inputs[index].shape, type: inputs[index].dtype)
            }
        }
        return Tensor.record([result], of: inputs) { gradients in
            guard let gradient = gradients[0], !targets.isEmpty else { return }
            let call = try PointwiseCall(
                operation, way, of: shape, kept.map { ("gradient", $0 ?? gradient) },
                results: targets.map { ($0.shape, $0.type) })
            for (target, found) in zip(targets, try call.run(on: backend)) { try target.variable?.add(found) }
        }[0]
    }
}

extension PointwiseProgram {
    /// How many inputs, and steps, an expression may have.
    static let mostInputs = 16
    static let mostSteps = 64
}
