import Dispatch
import Foundation
import Models
import Synchronization
import Tokenizers

/// Serves a model to many at once: continues sequences together, a token each per step, while prompts are read in between.
///
/// Requests join and leave at any token. A prompt is read in segments of ``GenerationSession/segment`` tokens, and steps of the
/// running sequences take place between its layers whenever they have had less than half of the time, so that neither a long
/// prompt holds them up nor they it. Of several prompts the one with the least left to read comes first, less what it has
/// waited. What a sequence is given does not depend on what runs beside it: where batches give the same bits
/// (docs/decoding.md), it is what it would be alone.
///
/// The model runs on a thread of its own; all methods return at once.
public final class Scheduler: Sendable {
    let inbox: Inbox
    /// Where states outlive the scheduler.
    let folder: StateFolder?
    private let model: DecoderModel
    /// Waited for by who wants the model's thread to have ended.
    private let isOver = DispatchSemaphore(value: 0)

    /// Starts serving `model`.
    /// - Parameter tokenizer: turns what is generated into text.
    /// - Throws: `TensorError` when memory runs out.
    public init(_ model: DecoderModel, tokenizer: Tokenizer, options: SchedulerOptions = SchedulerOptions()) throws {
        (self.model, folder) = (model, options.folder)
        inbox = Inbox(limit: options.queue)
        let engine = Handover(value: try SchedulingEngine(model, tokenizer, options, inbox))
        let thread = Thread { [isOver] in
            engine.value.run()
            isOver.signal()
        }
        thread.name = "moult scheduler"
        thread.stackSize = 16 << 20
        thread.start()
    }

    deinit { stop() }

    /// Queues a request.
    /// - Throws: ``SchedulerError``, ``GenerationError`` for a request that makes no sense, or the model's error for a token
    ///   that it does not have.
    public func submit(_ request: SequenceRequest) throws -> SequenceEvents { try submit([request])[0] }

    /// Queues requests that belong together: all of them, or none when there is no room. Those that only score short prompts
    /// are computed as documents of one sequence.
    /// - Throws: as ``submit(_:)``.
    public func submit(_ requests: [SequenceRequest]) throws -> [SequenceEvents] {
        for request in requests { try request.check(model) }
        let inbox = inbox
        let orders = requests.map { request in
            PromptOrder(request: request, channel: EventChannel { inbox.wake() }, arrival: .now)
        }
        try inbox.add(orders)
        return orders.map { SequenceEvents($0.channel) }
    }

    /// What it has done and is doing, as of its last step.
    public var statistics: SchedulerStatistics { inbox.statistics }

    /// Whether all that was asked has ended.
    public var isIdle: Bool { inbox.isIdle }

    /// Whether requests are taken.
    public var isOpen: Bool { inbox.isOpen }

    /// Takes no more requests; those that were taken go on.
    public func close() { inbox.close(ends: false) }

    /// Takes no more requests and ends all that there are with ``SchedulerError/stopping``.
    public func stop() { inbox.close(ends: true) }

    /// Takes no more requests, ends all that there are, and returns when the model's thread has.
    public func end() {
        stop()
        isOver.wait()
        isOver.signal()
    }

    /// Takes no more requests, waits until those that were taken have ended, and ends what is left then.
    public func stop(within limit: Duration) async {
        close()
        let end = ContinuousClock.now + limit
        while !inbox.isIdle, .now < end {
            do { try await Task.sleep(for: .milliseconds(20)) } catch { break }
        }
        stop()
    }

    /// What is made on one thread and used on another, on which it stays.
    private struct Handover<Value>: @unchecked Sendable { let value: Value }
}

/// A request on its way.
struct PromptOrder: Sendable {
    let request: SequenceRequest
    let channel: EventChannel
    let arrival: ContinuousClock.Instant
}

/// Where the model's thread finds what is asked of it.
final class Inbox: Sendable {
    private struct State {
        var orders: [[PromptOrder]] = []
        var errands: [Errand] = []
        var waiting = 0
        var isClosed = false
        var isEnded = false
        var isIdle = true
        var statistics = SchedulerStatistics()
    }

    /// What is done on the model's thread beside requests; with nothing when that has ended.
    typealias Errand = @Sendable (SchedulingEngine?) -> Void

    private let limit: Int
    private let state = Mutex(State())
    private let bell = DispatchSemaphore(value: 0)

    init(limit: Int) { self.limit = limit }

    var statistics: SchedulerStatistics {
        state.withLock { state in
            var statistics = state.statistics
            statistics.waiting = state.waiting
            return statistics
        }
    }
    var isOpen: Bool { state.withLock { !$0.isClosed } }
    var isIdle: Bool { state.withLock { $0.isIdle && $0.orders.isEmpty } }

    func add(_ orders: [PromptOrder]) throws {
        try state.withLock { state in
            guard !state.isClosed else { throw SchedulerError.stopping }
            guard state.waiting == 0 || state.waiting + orders.count <= limit else {
                throw SchedulerError.full(waiting: state.waiting)
            }
            state.waiting += orders.count
            state.orders.append(orders)
            state.isIdle = false
        }
        wake()
    }

    func add(_ errand: @escaping Errand) {
        let isEnded = state.withLock { state in
            if !state.isEnded { state.errands.append(errand) }
            return state.isEnded
        }
        if isEnded { errand(nil) } else { wake() }
    }

    func close(ends: Bool) {
        state.withLock {
            $0.isClosed = true
            $0.isEnded = $0.isEnded || ends
        }
        wake()
    }

    func wake() { bell.signal() }

    // MARK: The model's thread

    /// Waits until something may have changed.
    func wait(until instant: ContinuousClock.Instant?) {
        guard let instant else { return bell.wait() }
        let seconds = max(0, ContinuousClock.now.duration(to: instant) / .seconds(1))
        _ = bell.wait(timeout: .now() + min(seconds, 3600))
    }

    /// What was added since, and whether everything is to end.
    func take() -> (orders: [[PromptOrder]], errands: [Errand], isEnded: Bool) {
        state.withLock { state in
            defer { (state.orders, state.errands) = ([], []) }
            return (state.orders, state.errands, state.isEnded)
        }
    }

    /// So many requests wait no longer.
    func began(_ count: Int) { state.withLock { $0.waiting -= count } }

    func publish(_ statistics: SchedulerStatistics, isIdle: Bool) {
        state.withLock { state in
            state.statistics = statistics
            state.isIdle = isIdle && state.orders.isEmpty
        }
    }
}
