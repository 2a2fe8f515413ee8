import CKernels

/// A model's step, one token for each of several sequences: operations recorded once and then run for every token, all of
/// them in one hand-off to the thread pool and without allocating. What ``Backend``'s operations do for whole sequences,
/// these do for decoding on the CPU. Weights are read in place and kept alive; the states of the sequences are the
/// caller's, who binds them before every run.
///
/// Everything throws ``TensorError``: for shapes and types that do not fit, and without memory.
public final class RecordedStep {
    /// The most sequences of one run.
    public let capacity: Int
    /// The operations so far, and what is done between them.
    private var pieces: [Piece]
    /// The operations that are recorded now.
    private(set) var handle: OpaquePointer
    private let tokens: UnsafeMutablePointer<Int32>
    var kept: [Tensor] = []
    /// The weights that a run reads, once for all sequences.
    public internal(set) var weights: [Tensor] = []
    /// Their bytes.
    public var weightBytes: Int { weights.reduce(0) { $0 + $1.byteCount } }

    /// A step without operations.
    /// - Parameter capacity: the most sequences of one run, at least 1.
    /// - Throws: ``TensorError``.
    public init(capacity: Int) throws {
        guard capacity > 0, capacity <= Self.mostRows, let handle = moult_step_create(Int64(capacity)) else {
            throw TensorError.range(
                operation: "RecordedStep", argument: "capacity", expected: "1 to \(Self.mostRows) sequences",
                found: "\(capacity)")
        }
        self.capacity = capacity
        (self.handle, pieces) = (handle, [.operations(handle)])
        tokens = .allocate(capacity: capacity)
        tokens.initialize(repeating: 0, count: capacity)
    }

    deinit {
        for case .operations(let handle) in pieces { moult_step_destroy(handle) }
        tokens.deallocate()
    }

    static let mostRows = 4096

    /// A part of a run.
    private enum Piece {
        /// Operations, in one hand-off to the thread pool.
        case operations(OpaquePointer)
        /// What a caller does for the first so many rows.
        case call((RecordedStep, _ rows: Int) throws -> Void)
    }

    // MARK: Activations

    /// Activations (rows, width) that one operation writes and later ones read.
    public struct Rows {
        let pointer: UnsafePointer<moult_step_rows>
        /// Elements of a row.
        public var width: Int { Int(pointer.pointee.width) }
        var values: UnsafeMutablePointer<Float> { pointer.pointee.values }
    }

    /// New activations, of which there is a rounded copy where one of the weights that `readers` are is quantised.
    public func rows(width: Int, readers: [Tensor] = []) throws -> Rows {
        let rounded = readers.contains { $0.dtype.isQuantised }
        guard let pointer = moult_step_make_rows(handle, Int64(width), rounded) else { throw outOfMemory(width) }
        return Rows(pointer: pointer)
    }

    // MARK: Operations

    /// scale · the rows of `table` (R, D) of the tokens that ``run(tokens:)`` gets.
    public func embedding(_ table: Tensor, scale: Float = 1) throws -> Rows {
        try table.requireWeight("embedding", "table")
        let out = try rows(width: table.shape[1])
        var product = try product(table, bias: nil, out: nil)
        try check(moult_step_embedding(handle, tokens, &product, scale, false, out.pointer), out.width)
        return out
    }

    /// Which row of a table each sequence's token gets; 0 until it is set.
    public struct Places {
        let values: UnsafeMutablePointer<Int32>
        let count: Int

        /// Sets the place of one row, before a run.
        public func set(row: Int, place: Int) throws {
            guard (0..<count).contains(place) else {
                throw TensorError.range(
                    operation: "RecordedStep", argument: "place", expected: "0..<\(count)", found: "\(place)")
            }
            values[row] = Int32(place)
        }
    }

    /// x += the rows of `table` (R, D) at places that the caller sets, such as learned positions.
    public func addEmbedding(_ table: Tensor, to x: Rows) throws -> Places {
        try table.requireWeight("addEmbedding", "table")
        try table.requireShape("addEmbedding", "table", [nil, x.width])
        // Memory that lives as long as the step, of elements as large as a place.
        let places = UnsafeMutableRawPointer(try rows(width: 1).values).assumingMemoryBound(to: Int32.self)
        var product = try product(table, bias: nil, out: nil)
        try check(moult_step_embedding(handle, places, &product, 1, true, x.pointer), x.width)
        return Places(values: places, count: table.shape[0])
    }

    /// x normed, to be read by the weights `readers`: as a whole, or, where its width is a multiple of the norm's, every K
    /// elements by themselves.
    public func norm(_ x: Rows, _ norm: Normalisation, readers: [Tensor]) throws -> Rows {
        let out = try rows(width: x.width, readers: readers)
        try record(norm, of: x, add: false, out: out)
        return out
    }

    /// sum += x normed, in the same way.
    public func norm(_ x: Rows, _ norm: Normalisation, addedTo sum: Rows) throws {
        guard sum.width == x.width else {
            throw TensorError.shape(
                operation: "norm", argument: "sum", expected: "rows of \(x.width)", found: [capacity, sum.width])
        }
        try record(norm, of: x, add: true, out: sum)
    }

    private func record(_ norm: Normalisation, of x: Rows, add: Bool, out: Rows) throws {
        let dim = norm.weight.count
        guard dim > 0, x.width % dim == 0 else {
            throw TensorError.shape(
                operation: "norm", argument: "weight", expected: "a width that divides \(x.width)",
                found: norm.weight.shape)
        }
        try norm.require("norm", width: dim)
        kept.append(norm.weight)
        if let bias = norm.bias { kept.append(bias) }
        var kernel = norm.kernel
        try check(moult_step_norm(handle, x.pointer, &kernel, add, out.pointer), x.width)
    }

    /// x · weightᵀ + bias for every weight (O, I), in one pass.
    public func linear(_ x: Rows, weights: [Tensor], biases: [Tensor?]) throws -> [Rows] {
        let outs = try weights.map { try rows(width: $0.shape[0]) }
        var products: [moult_product] = []
        for (index, weight) in weights.enumerated() {
            try weight.requireShape("linear", "weight", [nil, x.width])
            products.append(try product(weight, bias: biases[index], out: outs[index].values))
        }
        self.weights += weights
        try check(moult_step_linear(handle, x.pointer, products, Int64(products.count), false, 0), x.width)
        return outs
    }

    /// Logits x · headᵀ, capped by cap · tanh(logit / cap) unless `cap` is nil.
    public func logits(_ x: Rows, head: Tensor, cap: Float? = nil) throws -> Rows {
        try head.requireShape("logits", "head", [nil, x.width])
        try Tensor.requireCap(cap, "logits")
        let out = try rows(width: head.shape[0])
        var product = try product(head, bias: nil, out: out.values)
        weights.append(head)
        try check(moult_step_linear(handle, x.pointer, &product, 1, false, cap ?? 0), x.width)
        return out
    }

    /// sum += x · weightᵀ + bias.
    public func linear(_ x: Rows, weight: Tensor, bias: Tensor?, addedTo sum: Rows) throws {
        try weight.requireShape("linear", "weight", [sum.width, x.width])
        var product = try product(weight, bias: bias, out: sum.values)
        weights.append(weight)
        try check(moult_step_linear(handle, x.pointer, &product, 1, true, 0), x.width)
    }

    /// act(gate(x)) · up(x) for weights (F, I), to be read by the weights `readers`.
    public func gatedLinear(
        _ x: Rows, gate: (weight: Tensor, bias: Tensor?), up: (weight: Tensor, bias: Tensor?),
        activation: Activation = .silu, readers: [Tensor]
    ) throws -> Rows {
        let width = gate.weight.shape[0]
        try gate.weight.requireShape("gatedLinear", "gate", [width, x.width])
        try up.weight.requireShape("gatedLinear", "up", [width, x.width])
        let out = try rows(width: width, readers: readers)
        var gateProduct = try product(gate.weight, bias: gate.bias, out: rows(width: width).values)
        var upProduct = try product(up.weight, bias: up.bias, out: rows(width: width).values)
        weights += [gate.weight, up.weight]
        try check(
            moult_step_gated_linear(
                handle, x.pointer, activation.kernel, &gateProduct, &upProduct, out.pointer), width)
        return out
    }

    /// act(x · weightᵀ + bias) for a weight (F, I), to be read by the weights `readers`.
    public func activatedLinear(
        _ x: Rows, weight: Tensor, bias: Tensor?, activation: Activation, readers: [Tensor]
    ) throws -> Rows {
        let width = weight.shape[0]
        try weight.requireShape("activatedLinear", "weight", [width, x.width])
        let out = try rows(width: width, readers: readers)
        var product = try product(weight, bias: bias, out: rows(width: width).values)
        weights.append(weight)
        try check(
            moult_step_gated_linear(handle, x.pointer, activation.kernel, &product, nil, out.pointer), width)
        return out
    }

    func product(_ weight: Tensor, bias: Tensor?, out: UnsafeMutablePointer<Float>?) throws -> moult_product {
        try bias?.require("linear", "bias", [weight.shape[0]])
        kept.append(weight)
        if let bias { kept.append(bias) }
        return moult_product(
            weight: weight.address, bias: bias?.floats, out: out, outputs: Int64(weight.shape[0]),
            type: try weight.dtype.requiredKernelType(operation: "linear", argument: "weight"))
    }

    // MARK: Running

    /// Runs the step for one token of each of `tokens.count` sequences, at most ``capacity``, whose states are bound.
    public func run(tokens ids: [Int32]) throws {
        guard !ids.isEmpty, ids.count <= capacity else {
            throw TensorError.range(
                operation: "RecordedStep.run", argument: "tokens", expected: "1 to \(capacity)", found: "\(ids.count)")
        }
        for (row, id) in ids.enumerated() { tokens[row] = id }
        for piece in pieces {
            switch piece {
            case .operations(let handle):
                guard moult_step_run(handle, Int64(ids.count)) == moult_success else { throw outOfMemory(ids.count) }
            case .call(let body): try body(self, ids.count)
            }
        }
    }

    /// Cuts the step here: what was recorded before has been run when `body` is called with the number of rows of the run, and
    /// what is recorded after is run then. What it throws, the run does.
    public func call(_ body: @escaping (_ step: RecordedStep, _ rows: Int) throws -> Void) throws {
        guard let next = moult_step_create(Int64(capacity)) else { throw outOfMemory(1) }
        handle = next
        pieces += [.call(body), .operations(next)]
    }

    /// Row `row` of `rows` as a tensor of `shape`, of as many elements.
    public func tensor(_ row: Int, of rows: Rows, shape: [Int]) throws -> Tensor {
        try withRow(row, of: rows) { try Tensor(Array($0), shape: shape) }
    }

    /// Writes the elements of `tensor`, float32, into row `row` of `rows`, from element `start` on.
    public func write(_ tensor: Tensor, to rows: Rows, row: Int, from start: Int = 0) throws {
        guard (0..<capacity).contains(row), start >= 0, start + tensor.count <= rows.width else {
            throw TensorError.shape(
                operation: "RecordedStep.write", argument: "tensor", expected: "at most \(rows.width - start) elements",
                found: tensor.shape)
        }
        try tensor.withElements(Float.self) { elements in
            _ = UnsafeMutableBufferPointer(start: rows.values + row * rows.width + start, count: elements.count)
                .update(from: elements)
        }
    }

    /// Calls `body` with one row of `rows`.
    public func withRow<Result>(
        _ row: Int, of rows: Rows, _ body: (UnsafeBufferPointer<Float>) throws -> Result
    ) rethrows -> Result {
        try withExtendedLifetime(self) {
            try body(UnsafeBufferPointer(start: rows.values + row * rows.width, count: rows.width))
        }
    }

    func check(_ succeeded: Bool, _ width: Int) throws {
        guard succeeded else { throw outOfMemory(width) }
    }

    func outOfMemory(_ width: Int) -> TensorError {
        .outOfMemory(bytes: capacity * width * DType.float32.size)
    }
}
