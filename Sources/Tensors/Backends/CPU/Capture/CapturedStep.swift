import CKernels

/// A model's step on the processor, one token for each of several sequences: what is done with the step's tensors is not computed
/// but captured, once, as operations that are then run for every token, all of them in one hand-off to the thread pool and without
/// allocating. Its tensors, (R, ...) of R = ``capacity`` sequences, are used as any others, but have no elements before a run.
///
/// The step begins with ``input(_:_:)``, tensors that the caller writes before every run, and ``state(like:)`` and
/// ``cache(keys:values:most:)``, which stand for what is bound to each row. Weights are read in place and kept alive. A step is captured by one
/// thread, and then run by one at a time.
///
/// Everything throws ``TensorError``: for shapes and types that do not fit, for what no step can do, and without memory.
public final class CapturedStep: @unchecked Sendable {
    /// The most sequences of one run, R.
    public let capacity: Int
    let memory: StepMemory
    /// The operations so far, and what is done between them.
    private var pieces: [Piece]
    /// Whose memory is nobody else's.
    private var inputs: [CapturedRows] = []
    var kept: [Tensor] = []
    /// The weights that a run reads, once for all sequences.
    public internal(set) var weights: [Tensor] = []
    /// Their bytes.
    public var weightBytes: Int { weights.reduce(0) { $0 + $1.byteCount } }

    /// A step without operations.
    /// - Parameter capacity: the most sequences of one run, 1 to 4,096.
    /// - Throws: ``TensorError``.
    public init(capacity: Int) throws {
        guard (1...Self.mostRows).contains(capacity), let memory = StepMemory(capacity: capacity) else {
            throw TensorError.range(
                operation: "CapturedStep", argument: "capacity", expected: "1 to \(Self.mostRows) sequences",
                found: "\(capacity)")
        }
        (self.capacity, self.memory) = (capacity, memory)
        pieces = [.operations(memory.handle)]
    }

    static let mostRows = 4096

    /// A part of a run.
    private enum Piece {
        /// Operations, in one hand-off to the thread pool.
        case operations(OpaquePointer)
        /// What is done by itself for the first so many rows.
        case call((_ rows: Int) throws -> Void)
    }

    // MARK: Inputs

    /// A tensor (R, ...) that the caller writes before a run, by ``Tensor/overwrite(_:)`` or ``update(_:row:_:)``; zeros until then.
    /// - Parameter dtype: float32 or int32.
    public func input(_ shape: [Int], _ dtype: DType = .float32) throws -> Tensor {
        guard shape.first == capacity, dtype.size == DType.float32.size else {
            throw TensorError.shape(
                operation: "CapturedStep", argument: "input", expected: "[\(capacity), ...] of float32 or int32",
                found: shape)
        }
        let rows = try CapturedRows(memory, width: shape.dropFirst().reduce(1, *), isReused: false)
        inputs.append(rows)
        return Tensor(shape: shape, dtype: dtype, storage: Storage(rows, of: self))
    }

    /// Calls `body` with one row of an input, to be written.
    public func update<Element: TensorElement>(
        _ input: Tensor, row: Int, _ body: (UnsafeMutableBufferPointer<Element>) throws -> Void
    ) throws {
        let (values, width) = try elements(input, row: row)
        try body(UnsafeMutableBufferPointer(start: UnsafeMutablePointer<Element>(OpaquePointer(values)), count: width))
    }

    // MARK: Running

    /// Runs the step for the first `rows` sequences, whose inputs are written and whose states are bound.
    public func run(rows: Int) throws {
        guard (1...capacity).contains(rows) else {
            throw TensorError.range(
                operation: "CapturedStep.run", argument: "rows", expected: "1 to \(capacity)", found: "\(rows)")
        }
        for piece in pieces {
            switch piece {
            case .operations(let handle):
                guard moult_step_run(handle, Int64(rows)) == moult_success else { throw memory.exhausted(rows) }
            case .call(let body): try body(rows)
            }
        }
    }

    /// `tensor`, which the step computes, to be read after a run.
    public func result(_ tensor: Tensor) throws -> CapturedResult {
        CapturedResult(step: self, tensor: tensor, values: try elements(tensor, row: 0).0)
    }

    private func elements(_ tensor: Tensor, row: Int) throws -> (UnsafeMutablePointer<Float>, count: Int) {
        guard tensor.storage.runtime as? CapturedStep === self, let rows = tensor.storage.captured,
            let values = rows.values, (0..<capacity).contains(row)
        else {
            throw TensorError.range(
                operation: "CapturedStep", argument: "row", expected: "one of \(capacity) of what the step computes",
                found: "\(row)")
        }
        return (values + row * rows.width, rows.width)
    }

    /// Cuts the step here: `body` is called with the number of rows of a run when what was captured before has been run, and before
    /// what is captured after.
    func call(_ body: @escaping (_ rows: Int) throws -> Void) throws {
        if case .call(let before) = pieces.dropLast().last, memory.isEmpty {
            pieces[pieces.count - 2] = .call {
                try before($0)
                try body($0)
            }
            return
        }
        let next = try memory.next()
        pieces += [.call(body), .operations(next)]
    }
}

/// What a step has computed.
public struct CapturedResult {
    fileprivate let step: CapturedStep
    fileprivate let tensor: Tensor
    fileprivate let values: UnsafeMutablePointer<Float>

    /// Calls `body` with one row of the last run; with nothing for a row that there is none of.
    public func withRow<Result>(
        _ row: Int, _ body: (UnsafeBufferPointer<Float>) throws -> Result
    ) rethrows -> Result {
        try withExtendedLifetime((step, tensor)) {
            let width = tensor.count / step.capacity
            return try body(
                (0..<step.capacity).contains(row)
                    ? UnsafeBufferPointer(start: values + row * width, count: width)
                    : UnsafeBufferPointer(start: nil, count: 0))
        }
    }
}
