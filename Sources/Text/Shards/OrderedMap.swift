import Foundation

/// Applies a function to items on several threads; results come in the order of the items, whatever the threads do.
///
/// The caller submits and collects from one thread, and so bounds how many items are under way.
package final class OrderedMap<Input: Sendable, Output: Sendable>: @unchecked Sendable {
    private let transform: @Sendable (Input) throws -> Output
    /// Guards everything below, and tells of every change.
    private let condition = NSCondition()
    private var waiting: [(number: Int, input: Input)] = []
    private var results: [Int: Result<Output, any Error>] = [:]
    private var submitted = 0
    private var collected = 0
    private var isStopped = false
    private var running: Int

    package init(threads: Int, transform: @escaping @Sendable (Input) throws -> Output) {
        self.transform = transform
        running = threads
        for _ in 0..<threads {
            let thread = Thread { self.work() }
            thread.stackSize = 8 << 20
            thread.start()
        }
    }

    /// Items submitted and not collected.
    package var underWay: Int { submitted - collected }

    package func submit(_ input: Input) {
        condition.lock()
        defer { condition.unlock() }
        waiting.append((submitted, input))
        submitted += 1
        condition.broadcast()
    }

    /// The result of the oldest item, when it is there; nil when none is under way.
    /// - Throws: what the function threw for this item.
    package func collect() throws -> Output? {
        condition.lock()
        defer { condition.unlock() }
        guard underWay > 0 else { return nil }
        while true {
            if let result = results.removeValue(forKey: collected) {
                collected += 1
                return try result.get()
            }
            condition.wait()
        }
    }

    /// Drops what is not begun and waits for the threads to end.
    package func stop() {
        condition.lock()
        defer { condition.unlock() }
        isStopped = true
        condition.broadcast()
        while running > 0 { condition.wait() }
    }

    private func work() {
        condition.lock()
        while true {
            while waiting.isEmpty, !isStopped { condition.wait() }
            guard !isStopped else { break }
            let (number, input) = waiting.removeFirst()
            condition.unlock()
            let result = Result { try transform(input) }
            condition.lock()
            results[number] = result
            condition.broadcast()
        }
        running -= 1
        condition.broadcast()
        condition.unlock()
    }
}
