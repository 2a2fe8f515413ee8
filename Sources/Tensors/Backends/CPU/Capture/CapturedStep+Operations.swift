import CKernels

/// The operations of a step but for mixers.
extension CapturedStep: FusingBackend {
    public var name: String { CPUBackend.shared.name }

    // MARK: Rows

    func check(_ succeeded: Bool, _ width: Int) throws {
        guard succeeded else { throw memory.exhausted(width) }
    }

    /// `rows` as a tensor of the step.
    func tensor(_ rows: CapturedRows, _ shape: [Int]) -> Tensor {
        Tensor(shape: shape, dtype: .float32, storage: Storage(rows, of: self))
    }

    /// What `x` (R, ...) holds: elements that an operation can read.
    func rows(_ x: Tensor) throws -> CapturedRows {
        guard let rows = x.storage.captured else {
            // A constant.
            guard x.shape.first == capacity, x.dtype == .float32 else {
                throw TensorError.shape(
                    operation: "CapturedStep", argument: "a constant", expected: "[\(capacity), ...] of float32",
                    found: x.shape)
            }
            kept.append(x)
            return try CapturedRows(memory, width: x.count / capacity, values: x.floats)
        }
        guard x.storage.runtime as? CapturedStep === self, x.byteOffset == 0, x.count == capacity * rows.width else {
            throw Self.refused("a part of a tensor")
        }
        return try made(rows)
    }

    /// `rows` as elements.
    func made(_ rows: CapturedRows) throws -> CapturedRows {
        if case .values = rows.form { return rows }
        if let made = rows.made { return made }
        let out = try CapturedRows(memory, width: rows.width)
        let succeeded =
            switch rows.form {
            case .values: true
            case .turned(let x, let turn):
                moult_step_rope(
                    memory.handle, try made(x).pointer, turn.cosines.pointer, turn.sines.pointer,
                    Int64(rows.width / (2 * turn.cosines.width)), out.pointer)
            case .activated(let x, let activation):
                moult_step_activated(memory.handle, activation.kernel, try made(x).pointer, nil, out.pointer)
            case .picked(let x, let set, let count):
                moult_step_copy_heads(
                    memory.handle, try made(x).pointer, set.bits, Int64(x.width / count), false, out.pointer)
            case .placed(let x, let set, let count):
                moult_step_copy_heads(memory.handle, x.pointer, set.bits, Int64(x.width / count), false, out.pointer)
            case .state(let places): moult_step_gather(memory.handle, places, out.pointer)
            }
        try check(succeeded, rows.width)
        // A state is read as it is when it is asked for.
        if case .state = rows.form {} else { rows.made = out }
        return out
    }

    /// New rows, which `body` captures an operation for.
    func make(
        width: Int, isReused: Bool = true, _ body: (UnsafeMutablePointer<moult_step_rows>?) throws -> Bool
    ) throws -> CapturedRows {
        let out = try CapturedRows(memory, width: width, isReused: isReused)
        try check(body(out.pointer), width)
        return out
    }

    /// New rows of the shape of x.
    private func like(
        _ x: Tensor, isReused: Bool = true,
        _ body: (_ x: UnsafeMutablePointer<moult_step_rows>?, _ out: UnsafeMutablePointer<moult_step_rows>?) -> Bool
    ) throws -> Tensor {
        let from = try rows(x)
        return tensor(try make(width: from.width, isReused: isReused) { body(from.pointer, $0) }, x.shape)
    }

    // MARK: Products

    public func embedding(_ ids: Tensor, table: Tensor) throws -> Tensor {
        guard let ids = try rows(ids).values else { throw Self.refused("embedding") }
        kept.append(table)
        let out = try make(width: table.shape[1]) {
            var product = try product(table, bias: nil, out: nil)
            return moult_step_embedding(
                memory.handle, UnsafePointer(OpaquePointer(ids)), &product, $0)
        }
        return tensor(out, [capacity, out.width])
    }

    public func linear(_ x: Tensor, weights: [Tensor], biases: [Tensor?]) throws -> [Tensor] {
        try linear(x, weights: weights, biases: biases, addedTo: nil, cap: nil)
    }

    private func linear(
        _ x: Tensor, weights: [Tensor], biases: [Tensor?], addedTo sum: Tensor?, cap: Float?
    ) throws -> [Tensor] {
        let (from, addend) = (try input(x, of: weights), try sum.map { try rows($0) })
        let outs = try weights.map { try CapturedRows(memory, width: $0.shape[0]) }
        let products = try zip(weights, zip(biases, outs)).map { try product($0, bias: $1.0, out: $1.1.values) }
        for first in stride(from: 0, to: products.count, by: Int(moult_step_most_products)) {
            let some = Array(products[first...].prefix(Int(moult_step_most_products)))
            try check(
                moult_step_linear(memory.handle, from.pointer, some, Int64(some.count), addend?.pointer, cap ?? 0),
                from.width)
        }
        self.weights += weights
        return outs.map { tensor($0, x.shape.dropLast() + [$0.width]) }
    }

    /// What `weights` read of x, rounded where one of them is quantised.
    func input(_ x: Tensor, of weights: [Tensor]) throws -> CapturedRows {
        let rows = try rows(x)
        if weights.contains(where: \.dtype.isQuantised) { try rows.round() }
        return rows
    }

    func product(_ weight: Tensor, bias: Tensor?, out: UnsafeMutablePointer<Float>?) throws -> moult_product {
        kept.append(weight)
        if let bias { kept.append(bias) }
        return moult_product(
            weight: weight.address, bias: bias?.floats, out: out, outputs: Int64(weight.shape[0]),
            type: try weight.dtype.requiredKernelType(operation: "linear", argument: "weight"))
    }

    public func logits(_ hidden: Tensor, head: Tensor, cap: Float?) throws -> Tensor {
        try linear(hidden, weights: [head], biases: [nil], addedTo: nil, cap: cap)[0]
    }

    func fewRows(
        _ x: Tensor, norm: Normalisation?, weights: [Tensor], biases: [Tensor?], addedTo sum: Tensor?
    ) throws -> [Tensor]? {
        // Normed rows are there for all who read them.
        norm == nil ? try linear(x, weights: weights, biases: biases, addedTo: sum, cap: nil) : nil
    }

    func fewRowsGated(
        _ x: Tensor, norm: Normalisation?, _ activation: Activation, gate: (weight: Tensor, bias: Tensor?),
        up: (weight: Tensor, bias: Tensor?)
    ) throws -> Tensor? {
        guard norm == nil else { return nil }
        let (from, width) = (try input(x, of: [gate.weight, up.weight]), gate.weight.shape[0])
        let between = try [0, 1].map { _ in try CapturedRows(memory, width: width) }
        let out = try make(width: width) {
            var gateProduct = try product(gate.weight, bias: gate.bias, out: between[0].values)
            var upProduct = try product(up.weight, bias: up.bias, out: between[1].values)
            return moult_step_gated_linear(
                memory.handle, from.pointer, activation.kernel, &gateProduct, &upProduct, $0)
        }
        weights += [gate.weight, up.weight]
        return tensor(out, x.shape.dropLast() + [width])
    }

    // MARK: Element by element

    public func normalised(_ x: Tensor, _ norm: Normalisation) throws -> (result: Tensor, saved: Tensor?) {
        kept.append(norm.weight)
        if let bias = norm.bias { kept.append(bias) }
        if let form = x.storage.captured?.form, case .activated(let inner, .silu) = form, norm.kind == .rms,
            norm.weight.count == inner.width
        {
            let from = try made(inner)
            let out = try make(width: from.width) {
                var job = moult_step_join()
                (job.x, job.silu) = (UnsafePointer(from.pointer), true)
                (job.norm_weight, job.norm_epsilon) = (norm.weight.floats, norm.epsilon)
                return moult_step_join(memory.handle, &job, $0)
            }
            return (tensor(out, x.shape), nil)
        }
        var kernel = norm.kernel
        return (try like(x) { moult_step_norm(memory.handle, $0, &kernel, $1) }, nil)
    }

    public func add(_ x: Tensor, _ y: Tensor) throws -> Tensor {
        let (x, other) = (x, try rows(y))
        // Memory of its own: the operation that made y may be the one that adds.
        return try like(x, isReused: false) { moult_step_add(memory.handle, $0, other.pointer, $1) }
    }

    public func scaled(_ x: Tensor, by factor: Float) throws -> Tensor {
        try like(x) { moult_step_scale(memory.handle, $0, factor, $1) }
    }

    public func activated(_ x: Tensor, _ activation: Activation) throws -> Tensor {
        guard let rows = x.storage.captured, !moult_step_activates(memory.handle, rows.pointer) else {
            // The product that made x goes on with it, in memory of its own.
            return try like(x, isReused: false) { moult_step_activated(memory.handle, activation.kernel, $0, nil, $1) }
        }
        return tensor(CapturedRows(memory, width: rows.width, .activated(rows, activation)), x.shape)
    }

    public func gated(_ activation: Activation, gate: Tensor, up: Tensor) throws -> Tensor {
        let up = try rows(up)
        return try like(gate) { moult_step_activated(memory.handle, activation.kernel, $0, up.pointer, $1) }
    }

    public func logGate(_ x: Tensor, divisor: Float) throws -> Tensor {
        try like(x) { moult_step_log_gate(memory.handle, $0, divisor, $1) }
    }

    public func l2Normed(_ x: Tensor, epsilon: Float) throws -> Tensor {
        let dim = Int64(x.shape.last ?? 1)
        return try like(x) { moult_step_l2_norm(memory.handle, $0, epsilon, dim, $1) }
    }

    public func pointwise(_ call: PointwiseCall) throws -> [Tensor] {
        let shapes = call.results.map(\.shape)
        guard call.results.allSatisfy({ $0.broadcast.isWhole(of: call.count) && $0.shape.first == capacity }) else {
            let (rank, capacity) = (call.shape.count, capacity)
            return try later(
                call.inputs.map(\.tensor), shapes, isConstant: { $0.rank < rank || $0.shape.first != capacity }
            ) { try CPUBackend.shared.pointwise(call.of($0, rows: $1)) }
        }
        let read = try call.inputs.map { $0.tensor.storage.captured == nil ? nil : try rows($0.tensor) }
        let inputs = zip(call.inputs, read).map { input, rows in
            if let rows { return UnsafePointer(rows.values) }
            kept.append(input.tensor)
            return input.tensor.floats
        }
        return try withExtendedLifetime(read) {
            let outs = try shapes.map { try CapturedRows(memory, width: $0.reduce(1, *) / capacity) }
            try call.withKernel(inputs: inputs, results: outs.map(\.values)) { kernel in
                var captured = moult_step_pointwise(expression: kernel, out: UnsafePointer(outs[0].pointer))
                try check(moult_step_pointwise(memory.handle, &captured), outs[0].width)
            }
            return zip(outs, shapes).map { tensor($0, $1) }
        }
    }

    // MARK: Experts

    /// See ``Tensor/experts(_:router:visit:)``; of operands that are checked.
    func experts(_ x: Tensor, router: Tensor, _ experts: Experts) throws -> Tensor {
        let (logits, from) = (try rows(router), try input(x, of: experts.all.flatMap { [$0.gate, $0.up] }))
        let inner = try CapturedRows(
            memory, width: experts.active * experts.all[0].gate.shape[0])
        let all = try experts.all.map {
            moult_expert(
                gate: try product($0.gate, bias: nil, out: nil), up: try product($0.up, bias: nil, out: nil),
                down: try product($0.down, bias: nil, out: nil))
        }
        // A run reads as many as a row takes at least.
        weights += experts.all.prefix(experts.active).flatMap(\.weights)
        guard
            let routes = moult_step_route(
                memory.handle, logits.pointer, Int64(experts.active), experts.isNormalised)
        else { throw memory.exhausted(logits.width) }
        try check(
            moult_step_experts_inner(
                memory.handle, from.pointer, routes, all, Int64(all.count), experts.activation.kernel, inner.pointer),
            inner.width)
        if experts.all.contains(where: \.down.dtype.isQuantised) { try inner.round() }
        let out = try make(width: from.width) { moult_step_experts_outer(memory.handle, inner.pointer, $0) }
        return tensor(out, x.shape)
    }
}
