/// Expressions over the elements of tensors. Inputs are float32 or activations. Each has the shape of the result, or
/// goes along with it: the last extents of it (a weight or a bias), or the first of it and then ones (a number for
/// every row or head), or some within it, such as (H, 1) for (B, T, H, K). Gradients come from the expression, in the
/// types of the inputs.
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
        let (shape, type) = try requirePointwise(operation, inputs, as: type)
        if isSummed, shape.isEmpty {
            throw TensorError.shape(
                operation: operation, argument: "inputs", expected: "a last dimension", found: shape)
        }
        let broadcasts = try inputs.enumerated().map { try Broadcast($1.shape, of: shape, operation, "input \($0)") }
        let asked = expression(inputs.indices.map(Pointwise.init(input:)))
        guard let program = PointwiseProgram(asked, inputs: inputs.count) else {
            throw TensorError.range(
                operation: operation, argument: "expression", expected: "one of these \(inputs.count) inputs",
                found: "inputs of another")
        }
        guard program.steps.count <= PointwiseProgram.mostSteps else {
            throw TensorError.range(
                operation: operation, argument: "expression", expected: "at most \(PointwiseProgram.mostSteps) steps",
                found: "\(program.steps.count)")
        }
        let result = (shape: isSummed ? shape.dropLast() + [1] : shape, type: type)
        // Where a pass over memory costs more than a start, what belongs to a row, a column or a head is computed once
        // for it.
        let count = shape.reduce(1, *)
        let ways = broadcasts.map { $0.isWhole(of: count) ? nil : $0 }
        guard !inputs[0].device.traits.isAccelerator, let split = program.split(by: ways) else {
            return try run(operation, program, inputs, broadcasts, of: shape, results: [result])[0]
        }
        var all = inputs
        for part in split.parts {
            let own = part.sources.map { inputs[$0] }
            // Inputs that go along in one way have a shape together.
            let narrow = own.dropFirst().reduce(own[0].shape) { Broadcast.shape(of: $0, $1.shape) ?? $0 }
            let results = part.program.results.map { _ in (shape: narrow, type: DType.float32) }
            let broadcasts = try own.map { try Broadcast($0.shape, of: narrow, operation, "input") }
            all += try run(operation, part.program, own, broadcasts, of: narrow, results: results)
        }
        let own = split.rest.sources.map { all[$0] }
        return try run(
            operation, split.rest.program, own,
            own.map { try Broadcast($0.shape, of: shape, operation, "input") }, of: shape, results: [result])[0]
    }

    /// The shape and the type of the result.
    private static func requirePointwise(
        _ operation: String, _ inputs: [Tensor], as type: DType?
    ) throws -> (shape: [Int], type: DType) {
        guard let device = inputs.first?.device else {
            throw TensorError.range(operation: operation, argument: "inputs", expected: "at least one", found: "none")
        }
        guard inputs.count <= PointwiseProgram.mostInputs else {
            throw TensorError.range(
                operation: operation, argument: "inputs", expected: "at most \(PointwiseProgram.mostInputs)",
                found: "\(inputs.count)")
        }
        let precision = device.traits.precision.dtype
        func requireType(_ argument: @autoclosure () -> String, _ found: DType) throws {
            guard found != .float32, found != precision else { return }
            throw TensorError.dtype(
                operation: operation, argument: argument(),
                expected: precision == .float32 ? "float32" : "float32 or \(precision.rawValue)", found: found)
        }
        var shape = inputs[0].shape
        for (index, input) in inputs.enumerated() {
            try requireType("input \(index)", input.dtype)
            guard let both = Broadcast.shape(of: shape, input.shape) else {
                throw TensorError.shape(
                    operation: operation, argument: "input \(index)", expected: "extents of \(shape), or 1",
                    found: input.shape)
            }
            shape = both
        }
        // Whether its elements can be counted.
        guard DType.float32.byteCount(of: shape) != nil else {
            throw TensorError.shape(
                operation: operation, argument: "result", expected: "extents that memory can hold", found: shape)
        }
        try requireType("type", type ?? precision)
        try inputs[0].requireDevice(operation, inputs)
        return (shape, type ?? precision)
    }

    /// The program's results for every element of `shape`, recorded.
    private static func run(
        _ operation: String, _ program: PointwiseProgram, _ inputs: [Tensor], _ broadcasts: [Broadcast],
        of shape: [Int], results: [(shape: [Int], type: DType)]
    ) throws -> [Tensor] {
        let backend = Tensor.backend(of: inputs)
        let found = try PointwiseCall(operation, program, of: shape, inputs, broadcasts: broadcasts, results: results)
            .run(on: backend)
        guard inputs.contains(where: \.isRecorded) else { return found }
        let wanted = inputs.indices.filter { inputs[$0].variable != nil }
        let (way, sources, places) = program.gradients(of: wanted)
        // Only what the way back reads is held on to, and of others their variables.
        let kept = sources.map { $0 < inputs.count ? inputs[$0].detached : nil }
        let targets = zip(wanted, places).compactMap { index, place in
            place.map { _ in (variable: inputs[index].variable, shape: inputs[index].shape, type: inputs[index].dtype) }
        }
        return Tensor.record(found, of: inputs) { [device = inputs[0].device, count = inputs.count] gradients in
            let own = try zip(sources, kept).map { source, tensor -> Tensor in
                if let tensor { return tensor }
                let index = source - count
                return try gradients[index] ?? .zeros(results[index].shape, results[index].type, on: device)
            }
            let call = try PointwiseCall(
                operation, way, of: shape, own,
                broadcasts: own.map { try Broadcast($0.shape, of: shape, operation, "gradient") },
                results: targets.map { ($0.shape, $0.type) })
            if targets.isEmpty { return }
            for (target, found) in zip(targets, try call.run(on: backend)) { try target.variable?.add(found) }
        }
    }
}

extension PointwiseProgram {
    /// How many inputs, and steps, an expression may have.
    static let mostInputs = 16
    static let mostSteps = 64
}
