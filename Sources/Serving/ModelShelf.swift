import Dispatch
import Foundation
import Generation
import Support
import Synchronization

/// The models of a server: each is loaded when it is first asked for, and leaves when another needs its room while nobody uses it,
/// the least recently used first.
///
/// Who asks for a model that there is no room for waits until others have ended. After ``ServerOptions/modelPatience`` those who come
/// later wait behind it, so that nobody waits for ever.
final class ModelShelf: Sendable {
    let options: ServerOptions
    /// In the order in which they were given; the first is served where a request names none.
    let names: [String]
    private let state: Mutex<State>
    /// Loads models and lets them go, one after another.
    private let work = DispatchQueue(label: "moult models")
    private let warn: @Sendable (String) -> Void
    /// What states are signed with that are given out by models without a folder.
    private let secret = SealedState.newSecret()

    /// Seconds since 1970.
    private let created = Int(Date().timeIntervalSince1970)

    private struct State {
        var entries: [String: Entry]
        var waiting: [Waiter] = []
        var uses = 0
        var isOpen = true
        /// Whether ``advance()`` will be called.
        var isTicking = false

        /// Lets go of models that nobody uses, the least recently used first, until one of so many bytes fits in.
        /// - Returns: those that are to end; nil where there is no room.
        mutating func makeRoom(_ bytes: Int, _ budget: Int?) -> [ModelService]? {
            guard let budget else { return [] }
            let held = entries.values.filter { $0.service != nil || $0.isLoading }
            var excess = held.reduce(bytes) { $0 + $1.model.bytes } - budget
            let idle = held.filter { $0.users == 0 && $0.service?.scheduler.isIdle == true }
            guard excess <= idle.reduce(0, { $0 + $1.model.bytes }) else { return nil }
            var gone: [ModelService] = []
            for entry in idle.sorted(by: { $0.lastUse < $1.lastUse }) where excess > 0 {
                guard let service = entry.service else { continue }
                excess -= entry.model.bytes
                entries[entry.model.name]?.past = service.scheduler.statistics.after(entry.past)
                entries[entry.model.name]?.service = nil
                gone.append(service)
            }
            return gone
        }
    }

    private struct Entry {
        let model: ServedModel
        let metrics = ServerMetrics()
        var service: ModelService?
        var isLoading = false
        /// Requests that use it.
        var users = 0
        /// The number of its last use.
        var lastUse = 0
        /// Whether it could not be loaded when it was last asked for.
        var hasFailed = false
        /// What its card tells, once it was loaded.
        var details = JSONValue.null
        /// What its schedulers have done that are gone.
        var past = SchedulerStatistics()
        var loads = 0
    }

    private struct Waiter: Sendable {
        let name: String
        let arrival: ContinuousClock.Instant
        let answer: CheckedContinuation<ModelService, any Error>
    }

    /// Loads the model where there is one alone.
    /// - Parameter warn: called with a line when a model cannot be loaded, or something of its folder cannot be used or written.
    /// - Throws: `GenerationError.option` for options that make no sense, and what loading throws.
    init(_ models: [ServedModel], options: ServerOptions, warn: @escaping @Sendable (String) -> Void) throws {
        try options.check()
        (self.options, self.warn) = (options, warn)
        names = models.map(\.name)
        for model in models {
            func require(_ holds: Bool, _ name: String, _ expected: String, _ found: String) throws {
                if !holds { throw GenerationError.option(name: name, expected: expected, found: found) }
            }
            try require(!model.name.isEmpty, "name", "text", "none")
            try require(
                names.count { $0 == model.name } == 1, "name", "a name for each model",
                "\(ForeignText.line(model.name, limit: 80)) twice")
            try require(
                options.modelBytes.map { model.bytes <= $0 } ?? true, "modelBytes",
                "\(model.bytes) or more, which \(ForeignText.line(model.name, limit: 80)) takes",
                "\(options.modelBytes ?? 0)")
        }
        guard let first = models.first else {
            throw GenerationError.option(name: "model", expected: "a model", found: "none")
        }
        state = Mutex(State(entries: Dictionary(models.map { ($0.name, Entry(model: $0)) }) { $1 }))
        if models.count == 1 { hold(try load(first.name), first.name) }
    }

    // MARK: Using

    /// The model that a request asks for, which stays as long as it is held; the first one where it names none.
    /// - Throws: ``APIError``.
    func use(_ fields: inout RequestFields) async throws -> ModelService { try await use(fields.string("model")) }

    func use(_ name: String?) async throws -> ModelService {
        let name = name ?? names[0]
        guard names.contains(name) else { throw Self.unknown(name) }
        return try await withCheckedThrowingContinuation { continuation in
            state.withLock { state in
                state.waiting.append(Waiter(name: name, arrival: .now, answer: continuation))
            }
            advance()
        }
    }

    /// The model that has given the response `id`, unless another is named.
    /// - Throws: ``APIError``; nil where no model has.
    func use(_ name: String?, response id: String) async throws -> ModelService? {
        if name != nil || names.count == 1 { return try await use(name) }
        guard let owner = names.first(where: { ResponseKey.isID(id, of: $0) }) else { return nil }
        return try await use(owner)
    }

    static func unknown(_ name: String) -> APIError {
        APIError(
            status: .notFound, message: "the model '\(ForeignText.line(name, limit: 80))' does not exist",
            type: "invalid_request_error", param: "model", code: "model_not_found")
    }

    /// Counts who uses a model: as long as there is one it stays.
    final class Lease: Sendable {
        private let end: @Sendable () -> Void
        init(_ end: @escaping @Sendable () -> Void) { self.end = end }
        deinit { end() }
    }

    /// Gives models to those who wait, as far as they are there, and begins to load others, as far as there is room.
    private func advance() {
        let answers = state.withLock { state in
            var answers: [@Sendable () -> Void] = []
            var left: [Waiter] = []
            var (roomIsTaken, isHeld) = (false, false)
            for waiter in state.waiting {
                guard var entry = state.entries[waiter.name] else { continue }
                if let error = refusal(waiter, waiting: left.count, state.isOpen) {
                    answers.append { waiter.answer.resume(throwing: error) }
                    continue
                }
                if var service = entry.service, !isHeld {
                    state.uses += 1
                    (entry.users, entry.lastUse) = (entry.users + 1, state.uses)
                    service.lease = Lease { [weak self] in self?.leave(waiter.name) }
                    let leased = service
                    answers.append { waiter.answer.resume(returning: leased) }
                    state.entries[waiter.name] = entry
                    continue
                }
                if entry.service == nil, !entry.isLoading {
                    if !roomIsTaken, let gone = state.makeRoom(entry.model.bytes, options.modelBytes) {
                        entry.isLoading = true
                        state.entries[waiter.name] = entry
                        answers.append { [self] in
                            // What has ended is gone before another is loaded.
                            for service in gone { work.async { service.end() } }
                            work.async { [self] in fetch(waiter.name) }
                        }
                    } else {
                        roomIsTaken = true
                        isHeld = isHeld || waiter.arrival.duration(to: .now) >= .seconds(options.modelPatience)
                    }
                }
                left.append(waiter)
            }
            state.waiting = left
            if !left.isEmpty, !state.isTicking {
                state.isTicking = true
                DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(20)) { [weak self] in self?.tick() }
            }
            return answers
        }
        for answer in answers { answer() }
    }

    private func tick() {
        state.withLock { $0.isTicking = false }
        advance()
    }

    private func refusal(_ waiter: Waiter, waiting: Int, _ isOpen: Bool) -> APIError? {
        guard isOpen else { return .shuttingDown }
        if waiter.arrival.duration(to: .now) > .seconds(options.requestSeconds) { return APIError(SchedulerError.late) }
        return waiting >= options.scheduler.queue ? APIError(SchedulerError.full(waiting: waiting)) : nil
    }

    private func leave(_ name: String) { state.withLock { $0.entries[name]?.users -= 1 } }

    // MARK: Loading

    /// Loads a model that others wait for.
    private func fetch(_ name: String) {
        do { hold(try load(name), name) } catch {
            warn("the model \(ForeignText.line(name, limit: 80)) cannot be loaded: \(error)")
            let failed = state.withLock { state in
                state.entries[name]?.isLoading = false
                state.entries[name]?.hasFailed = true
                let failed = state.waiting.filter { $0.name == name }
                state.waiting.removeAll { $0.name == name }
                return failed
            }
            let answer = APIError(
                status: .internalServerError,
                message: "the model '\(ForeignText.line(name, limit: 80))' cannot be loaded; the server's log says why",
                type: "server_error", param: "model", code: "model_not_loaded")
            for waiter in failed { waiter.answer.resume(throwing: answer) }
        }
        advance()
    }

    private func load(_ name: String) throws -> ModelService {
        guard let (model, metrics) = state.withLock({ state in state.entries[name].map { ($0.model, $0.metrics) } })
        else { throw Self.unknown(name) }
        var options = options
        // Of one model alone the folder is its own.
        if names.count > 1 { options.stateFolder = options.stateFolder.map { "\($0)/models/\(Self.fileName(name))" } }
        return try ModelService(
            model.load(), name: name, options: options, secret: secret, metrics: metrics, warn: warn)
    }

    private func hold(_ service: ModelService, _ name: String) {
        let isLate = state.withLock { state in
            state.entries[name]?.service = service
            state.entries[name]?.details = service.details
            state.entries[name]?.isLoading = false
            state.entries[name]?.hasFailed = false
            state.entries[name]?.loads += 1
            return !state.isOpen
        }
        if isLate { service.scheduler.stop() }
    }

    /// A name of a folder: what is no letter, digit, `-`, `_` or dot within is written by its bytes.
    private static func fileName(_ name: String) -> String {
        name.utf8.enumerated().map { place, byte in
            let isPlain = byte.isOfPlainName || byte == 0x2E && place > 0
            return isPlain ? String(UnicodeScalar(byte)) : "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }.joined()
    }

    // MARK: Telling

    /// The models as lists of models have them.
    var cards: [JSONValue] {
        let entries = state.withLock { $0.entries }
        return names.compactMap { name in
            guard let entry = entries[name] else { return nil }
            var card: JSONObject = [
                "id": .string(name), "object": "model", "created": .integer(created), "owned_by": "moult",
                "max_model_len": .integer(options.maximumPrompt), "meta": entry.details,
            ]
            if names.count > 1 {
                let value = entry.service != nil ? "loaded" : entry.isLoading ? "loading" : "unloaded"
                card["status"] = ["value": .string(value), "failed": .bool(entry.hasFailed)]
            }
            return .object(card)
        }
    }

    /// The text of /metrics.
    var metrics: String {
        let (entries, waiting) = state.withLock { ($0.entries, $0.waiting.map(\.name)) }
        return ServerMetrics.text(
            names.compactMap { name in
                entries[name].map { entry in
                    var now = entry.service?.scheduler.statistics ?? SchedulerStatistics()
                    // For their model to be there.
                    now.waiting += waiting.count { $0 == name }
                    return ServerMetrics.Model(
                        name: name, metrics: entry.metrics, statistics: now.after(entry.past),
                        isLoaded: entry.service != nil, bytes: entry.model.bytes, loads: entry.loads)
                }
            })
    }

    // MARK: Ending

    /// Whether requests are taken.
    var isOpen: Bool { state.withLock { $0.isOpen } }

    /// Takes no more requests, waits until those that run have ended, and ends what is left then.
    func stop(within limit: Duration) async {
        let schedulers = state.withLock { state in
            state.isOpen = false
            return state.entries.values.compactMap(\.service?.scheduler)
        }
        advance()
        await withTaskGroup(of: Void.self) { group in
            for scheduler in schedulers { group.addTask { await scheduler.stop(within: limit) } }
        }
    }

    /// Ends everything, and waits until all states are written.
    func end() {
        let services = state.withLock { state in
            state.isOpen = false
            defer { for name in names { state.entries[name]?.service = nil } }
            return state.entries.values.compactMap(\.service)
        }
        advance()
        work.sync { for service in services { service.end() } }
    }
}
