import CKernels

/// What a tensor of a step holds: activations (R, width) that one operation writes and later ones read; or what an operation that
/// reads them does with others in passing, and is computed by itself only where another wants it.
final class CapturedRows {
    enum Form {
        /// Elements that an operation writes, or the caller before a run.
        case values
        /// Heads turned by angles.
        case turned(CapturedRows, Turn)
        case activated(CapturedRows, Activation)
        /// Some heads of others.
        case picked(CapturedRows, HeadSet, of: Int)
        /// Heads that stand at their places among others.
        case placed(CapturedRows, HeadSet, of: Int)
        /// What is bound to each row.
        case state(UnsafeMutablePointer<UnsafeMutablePointer<Float>?>)
    }

    /// Angles (R, K / 2).
    struct Turn: Equatable {
        let cosines, sines: CapturedRows
        static func == (a: Turn, b: Turn) -> Bool { a.cosines === b.cosines && a.sines === b.sines }
    }

    let form: Form
    /// Elements of a row.
    let width: Int
    private let memory: StepMemory
    /// For the operations, of values.
    let pointer: UnsafeMutablePointer<moult_step_rows>?
    /// Its own block, which others may have when these rows are gone.
    private var block: UnsafeMutablePointer<Float>?
    /// Whose block it is, if it is another's.
    private var owner: CapturedRows?
    /// The same as values, once somebody has wanted them.
    var made: CapturedRows?
    /// Greater than that of all rows before.
    let order: Int

    /// Rows that an operation is about to write.
    /// - Parameter isReused: whether memory may be what other rows had: not where an operation writes it that was captured before.
    init(_ memory: StepMemory, width: Int, isReused: Bool = true) throws {
        let count = memory.capacity * width
        let block = isReused ? try memory.takeBlock(count) : try memory.take(count)
        guard let pointer = moult_step_make_rows(memory.handle, Int64(width), block) else {
            throw memory.exhausted(width)
        }
        (form, self.width, self.memory, self.pointer, order) = (.values, width, memory, pointer, memory.number())
        self.block = block
    }

    /// Rows whose elements are `values`, of somebody else's.
    init(_ memory: StepMemory, width: Int, values: UnsafePointer<Float>?) throws {
        guard let pointer = moult_step_make_rows(memory.handle, Int64(width), UnsafeMutablePointer(mutating: values))
        else { throw memory.exhausted(width) }
        (form, self.width, self.memory, self.pointer, order) = (.values, width, memory, pointer, memory.number())
    }

    /// What is not computed by itself.
    init(_ memory: StepMemory, width: Int, _ form: Form) {
        (self.form, self.width, self.memory, pointer, order) = (form, width, memory, nil, memory.number())
    }

    deinit { if let block { memory.give(block, memory.capacity * width) } }

    /// The elements; nil of what is not computed by itself.
    var values: UnsafeMutablePointer<Float>? { pointer?.pointee.values }

    /// Makes these rows share the memory of others of the same width that were captured before: both write parts of one.
    func move(to other: CapturedRows) {
        if let block { memory.give(block, memory.capacity * width) }
        (block, owner) = (nil, other)
        pointer?.pointee.values = other.values
    }

    /// Has the elements rounded for quantised weights too.
    func round() throws {
        guard let pointer, pointer.pointee.codes == nil else { return }
        let count = memory.capacity * width
        // Fresh memory: the operation that writes it may have been captured long ago.
        guard
            moult_step_round(
                memory.handle, pointer, try memory.take(count), try memory.take(count / 32), try memory.take(count / 32)
            )
        else { throw memory.exhausted(width) }
    }
}
