import Dispatch

/// A thread for what waits for the disk or takes long, so that none of Swift's threads, which all connections share, does.
struct BlockingWork: Sendable {
    private let queue = DispatchQueue(label: "moult serving")

    func callAsFunction<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            queue.async { continuation.resume(with: Result(catching: body)) }
        }
    }
}
