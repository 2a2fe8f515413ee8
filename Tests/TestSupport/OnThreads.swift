import Foundation
import Synchronization

/// What `body` gives or throws for each of `items`, all at once, each on a thread of its own, in their order.
package func onThreads<Item: Sendable, Value: Sendable>(
    _ items: [Item], _ body: @escaping @Sendable (Item) throws -> Value
) -> [Result<Value, any Error>] {
    let results = Mutex<[Int: Result<Value, any Error>]>([:])
    let group = DispatchGroup()
    for (place, item) in items.enumerated() {
        group.enter()
        let thread = Thread {
            let result = Result { try body(item) }
            results.withLock { $0[place] = result }
            group.leave()
        }
        thread.stackSize = 8 << 20
        thread.start()
    }
    group.wait()
    return results.withLock { results in items.indices.compactMap { results[$0] } }
}
