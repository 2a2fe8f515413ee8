import Synchronization

/// The events of a request, in their order. A reader that is slower than the model makes the sequence pause, so that no
/// more than a few events wait; one that goes away, by leaving the loop or because its task is cancelled, ends the request.
public struct SequenceEvents: AsyncSequence, Sendable {
    let channel: EventChannel
    private let lifetime: Lifetime

    init(_ channel: EventChannel) {
        self.channel = channel
        lifetime = Lifetime(channel)
    }

    /// Ends the request.
    public func cancel() { channel.cancel() }

    /// Goes through the events; one at a time.
    public struct Iterator: AsyncIteratorProtocol {
        let events: SequenceEvents

        /// The next event; nil after the last.
        /// - Throws: ``SchedulerError``, what went wrong in the model, or `CancellationError`.
        public mutating func next() async throws -> SequenceEvent? { try await events.channel.next() }
    }

    public func makeAsyncIterator() -> Iterator { Iterator(events: self) }

    private final class Lifetime: Sendable {
        private let channel: EventChannel
        init(_ channel: EventChannel) { self.channel = channel }
        deinit { channel.cancel() }
    }
}

/// Between the model's thread, which never waits, and the reader of a request.
final class EventChannel: Sendable {
    /// Events that may wait before the sequence pauses. One step adds two at most for each continuation.
    static let capacity = 64

    private struct State {
        var events: [SequenceEvent] = []
        var reader: CheckedContinuation<SequenceEvent?, any Error>?
        var end: Result<Void, any Error>?
    }

    private let state = Mutex(State())
    /// Tells the model's thread that there is room again, or nobody left.
    private let notify: @Sendable () -> Void

    init(notify: @escaping @Sendable () -> Void) { self.notify = notify }

    /// Whether nothing follows: all is said, or the reader has gone away.
    var isOver: Bool { state.withLock { $0.end != nil } }
    /// Whether the sequence should pause.
    var isFull: Bool { state.withLock { $0.events.count >= Self.capacity } }

    func send(_ event: SequenceEvent) {
        let reader = state.withLock { state -> CheckedContinuation<SequenceEvent?, any Error>? in
            guard state.end == nil else { return nil }
            guard let reader = state.reader else {
                state.events.append(event)
                return nil
            }
            state.reader = nil
            return reader
        }
        reader?.resume(returning: event)
    }

    /// No events follow.
    func finish(_ error: (any Error)? = nil) {
        let reader = state.withLock { state -> CheckedContinuation<SequenceEvent?, any Error>? in
            guard state.end == nil else { return nil }
            state.end = error.map { .failure($0) } ?? .success(())
            defer { state.reader = nil }
            return state.reader
        }
        if let error { reader?.resume(throwing: error) } else { reader?.resume(returning: nil) }
    }

    func cancel() {
        let reader = state.withLock { state -> CheckedContinuation<SequenceEvent?, any Error>? in
            guard state.end == nil else { return nil }
            state.end = .failure(CancellationError())
            state.events = []
            defer { state.reader = nil }
            return state.reader
        }
        reader?.resume(throwing: CancellationError())
        notify()
    }

    func next() async throws -> SequenceEvent? {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                enum Answer { case event(SequenceEvent, hadPaused: Bool), end(Result<Void, any Error>), later }
                let answer = state.withLock { state -> Answer in
                    if !state.events.isEmpty {
                        let hadPaused = state.events.count >= Self.capacity
                        return .event(state.events.removeFirst(), hadPaused: hadPaused)
                    }
                    if let end = state.end { return .end(end) }
                    state.reader = continuation
                    return .later
                }
                switch answer {
                case .event(let event, let hadPaused):
                    if hadPaused { notify() }
                    continuation.resume(returning: event)
                case .end(.success): continuation.resume(returning: nil)
                case .end(.failure(let error)): continuation.resume(throwing: error)
                case .later: break
                }
            }
        } onCancel: {
            cancel()
        }
    }
}
