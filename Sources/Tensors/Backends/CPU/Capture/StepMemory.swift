import CKernels

/// The memory of a step: what its operations write for later ones. Operations run one after another, so that what is no longer
/// read is written anew.
final class StepMemory {
    let capacity: Int
    /// The operations that are captured now.
    private(set) var handle: OpaquePointer
    private var done: [OpaquePointer] = []
    /// Blocks that no operation reads any more, by their elements.
    private var free: [Int: [UnsafeMutablePointer<Float>]] = [:]

    init?(capacity: Int) {
        guard let handle = moult_step_create(Int64(capacity)) else { return nil }
        (self.capacity, self.handle) = (capacity, handle)
    }

    deinit { for handle in done + [handle] { moult_step_destroy(handle) } }

    /// Operations that run after all others so far, and by themselves.
    func next() throws -> OpaquePointer {
        guard let next = moult_step_create(Int64(capacity)) else { throw exhausted(1) }
        done.append(handle)
        handle = next
        return next
    }

    /// Counts what is written.
    private var count = 0

    func number() -> Int {
        count += 1
        return count
    }

    /// Whether nothing was captured since then.
    var isEmpty: Bool { moult_step_is_empty(handle) }

    /// Memory of `count` elements that lives as long as the step, zeroed.
    func take<Element>(_ count: Int, of type: Element.Type = Element.self) throws -> UnsafeMutablePointer<Element> {
        guard let memory = moult_step_memory(handle, count * MemoryLayout<Element>.stride) else {
            throw exhausted(count)
        }
        return memory.bindMemory(to: Element.self, capacity: count)
    }

    /// Elements that an operation is about to write.
    func takeBlock(_ count: Int) throws -> UnsafeMutablePointer<Float> {
        try free[count]?.popLast() ?? take(count)
    }

    func give(_ block: UnsafeMutablePointer<Float>, _ count: Int) { free[count, default: []].append(block) }

    /// - Parameter width: of what was to have memory.
    func exhausted(_ width: Int) -> TensorError { .outOfMemory(bytes: capacity * width * DType.float32.size) }
}
