import Models
import Tensors

/// A prompt that is read a segment at a time, or short prompts of one client that are scored together.
final class PromptJob {
    let orders: [PromptOrder]
    private(set) var hasBegun = false
    /// Of a prompt that is read by itself.
    private var state: DecoderState?
    /// Where the states are that the prompt begins with, the best first; nil before they were looked for.
    private var places: ArraySlice<PrefixStates.Place>?
    /// The best of them, on its way from the disk.
    private var load: StateFolder.Load?
    /// Where else than at its end the state is kept, and segments end where they are not too short, in order.
    private var marks: [Int] = []
    private var position = 0
    private var cached = 0
    /// Whether everything up to `position` was read in whole segments.
    private var isExact = true
    private var likelihoods: [TokenLikelihood] = []
    private var start: ContinuousClock.Instant?
    private let isPacked: Bool

    /// Tokens of short prompts that are scored at once.
    private static let packedTokens = 1024

    private init(_ orders: [PromptOrder], isPacked: Bool) { (self.orders, self.isPacked) = (orders, isPacked) }

    /// The jobs of requests that came together.
    static func packs(_ orders: [PromptOrder]) -> (packed: [PromptJob], single: [PromptJob]) {
        var (packs, single) = ([[PromptOrder]](), [PromptJob]())
        var room = 0
        for order in orders {
            let count = order.request.prompt.count
            guard order.request.isScoring, count <= packedTokens else {
                single.append(PromptJob([order], isPacked: false))
                continue
            }
            if count > room {
                packs.append([])
                room = packedTokens
            }
            packs[packs.count - 1].append(order)
            room -= count
        }
        return (packs.map { PromptJob($0, isPacked: true) }, single)
    }

    private var first: SequenceRequest { orders[0].request }
    var owner: String { first.owner }
    var arrival: ContinuousClock.Instant { orders[0].arrival }
    var tokensLeft: Int { orders.reduce(0) { $0 + $1.request.prompt.count } - position }
    /// Whether it can do nothing until a state is read from the disk.
    var isWaiting: Bool { load.map { $0.result == nil } ?? false }
    /// Whether it holds a state, and will take part in steps.
    var needsPlace: Bool { !isPacked }

    func begin() { hasBegun = true }

    func fail(_ error: any Error) { for order in orders { order.channel.finish(error) } }

    /// Reads on.
    /// - Parameter between: called now and then; throwing stops.
    /// - Returns: whether the prompt is read.
    func read(_ engine: SchedulingEngine, between: () throws -> Void) throws -> Bool {
        start = start ?? .now
        if isPacked {
            try score(engine, between)
            return true
        }
        guard let state = try self.state ?? restored(engine) else { return false }
        self.state = state
        let prompt = first.prompt
        if position < prompt.count { try readSegment(engine, state, between) }
        guard position == prompt.count else {
            let channel = orders[0].channel
            if !channel.isFull { channel.send(.reading(tokens: position, of: prompt.count)) }
            return false
        }
        return true
    }

    /// The state after what a stored one has read of the prompt, which may be nothing; nil while it comes from the disk.
    private func restored(_ engine: SchedulingEngine) throws -> DecoderState? {
        let isReusing = first.promptAlternatives == nil && first.reusesStates && engine.options.reuse != .none
        guard isReusing else { return try engine.model.makeState() }
        if places == nil {
            engine.statistics.lookups += 1
            let isExactOnly = engine.options.reuse == .exact
            places = engine.states.places(of: first.prompt, scope: first.scope, exactOnly: isExactOnly)[...]
        }
        if let load {
            guard let result = load.result else { return nil }
            self.load = nil
            // Another sequence may have the same name.
            if let stored = result, first.prompt.starts(with: stored.tokens) {
                let entry = try PrefixStates.Entry(stored, model: engine.model)
                engine.states.adopt(entry, scope: first.scope)
                engine.statistics.diskHits += 1
                return try goOn(engine, from: entry)
            }
        }
        switch places?.popFirst() {
        case .memory(let entry): return try goOn(engine, from: entry)
        case .disk(let key):
            load = engine.states.folder?.load(key, done: engine.wake)
            return nil
        case nil:
            plan(engine, from: 0)
            return try engine.model.makeState()
        }
    }

    private func goOn(_ engine: SchedulingEngine, from found: PrefixStates.Entry) throws -> DecoderState {
        engine.states.use(found, scope: first.scope)
        engine.statistics.hits += 1
        engine.statistics.cachedTokens += found.tokens.count
        (position, cached) = (found.tokens.count, found.tokens.count)
        // What is read from within a segment on is no longer read in whole ones.
        isExact = found.isExact && position.isMultiple(of: GenerationSession.segment)
        plan(engine, from: position)
        let state = try found.state.copy()
        if position == first.prompt.count {
            try found.logits.withUnsafeBufferPointer { try continueAll(engine, state, $0) }
        }
        return state
    }

    /// Where states are kept on the way to the prompt's end: where messages end, and where it parts from another prompt, which
    /// others may do too. With exact reuse only segments' ends are of use.
    private func plan(_ engine: SchedulingEngine, from start: Int) {
        guard engine.options.reuse == .longest else { return }
        let prompt = first.prompt
        let parting = engine.states.sharedBeginning(of: prompt, scope: first.scope)
        var last = start
        for mark in Set(first.boundaries + [parting]).sorted() where mark < prompt.count {
            guard mark - last >= Self.leastGap else { continue }
            marks.append(mark)
            last = mark
        }
    }

    /// Fewer tokens are read again rather than kept.
    private static let leastGap = 32

    /// Whether the state after `end` tokens of the prompt is kept: at its end, for what continues it; where its last segment begins,
    /// for prompts that end otherwise; and at marks and ends of segments before, of which the fewer the farther they are from
    /// the end. Large states, as those of Transformers become, are kept seldom.
    private func isKept(at end: Int, _ engine: SchedulingEngine, _ state: DecoderState) -> Bool {
        let (count, segment) = (first.prompt.count, GenerationSession.segment)
        if end == count || end == (count - 1) / segment * segment { return true }
        guard engine.states.isSmall(state.byteCount) else { return false }
        let distance = count - end
        return marks.contains(end) || end.isMultiple(of: segment) && distance <= 4 * segment
            || end.isMultiple(of: 8 * segment) && distance <= 64 * segment || end.isMultiple(of: 64 * segment)
    }

    private func readSegment(_ engine: SchedulingEngine, _ state: DecoderState, _ between: () throws -> Void) throws {
        let (prompt, segment, model) = (first.prompt, GenerationSession.segment, engine.model)
        let mark = marks.first { $0 > position } ?? prompt.count
        let end = min((position / segment + 1) * segment, mark, prompt.count)
        let tokens = Array(prompt[position..<end])
        if let top = first.promptAlternatives {
            let hidden = try withoutActuallyEscaping(between) { between in
                try model.hidden([tokens], state: state, progress: between)
            }
            let rows = try hidden.reshaped([tokens.count, model.configuration.decoder.hiddenSize])
            let start = position
            position = end
            engine.statistics.promptTokens += tokens.count
            try model.forEachLogits(rows) { row, logits in
                let next = start + row + 1
                if next < prompt.count {
                    likelihoods.append(try engine.likelihoods.likelihood(of: prompt[next], in: logits, top: top))
                } else {
                    try continueAll(engine, state, logits)
                }
                if row % 32 == 31 { try between() }
            }
            return
        }
        let logits = try withoutActuallyEscaping(between) { between in
            try model.nextLogits(tokens, state: state, progress: between)
        }
        position = end
        let isEnd = end == prompt.count
        engine.statistics.promptTokens += tokens.count
        try logits.withElements(Float.self) { logits in
            if first.reusesStates, engine.options.reuse != .none, isKept(at: end, engine, state) {
                let read = Array(prompt[..<end])
                try engine.states.insert(
                    .init(tokens: read, state: state.copy(), logits: Array(logits), isExact: isExact), tokens: read,
                    scope: first.scope, isExact: isExact, onDisk: first.isDurable)
            }
            if isEnd { try continueAll(engine, state, logits) }
        }
        // What is read after a mark begins elsewhere than segments do.
        if !end.isMultiple(of: segment) { isExact = false }
    }

    /// Begins all continuations with the first token of each.
    private func continueAll(
        _ engine: SchedulingEngine, _ state: DecoderState, _ logits: UnsafeBufferPointer<Float>
    ) throws {
        try begin(engine, orders[0], likelihoods, logits) { isLast in isLast ? state : try state.copy() }
    }

    /// - Parameter state: of a continuation; told whether it is the last of them.
    private func begin(
        _ engine: SchedulingEngine, _ order: PromptOrder, _ likelihoods: [TokenLikelihood],
        _ logits: UnsafeBufferPointer<Float>, state: (Bool) throws -> DecoderState
    ) throws {
        let began = start ?? .now
        order.channel.send(
            .read(
                .init(
                    cached: cached, likelihoods: likelihoods,
                    seconds: (order.arrival.duration(to: began) / .seconds(1), began.duration(to: .now) / .seconds(1))))
        )
        let count = order.request.samplers.count
        let open = RunningSequence.OpenChoices(count)
        for choice in 0..<count {
            let sequence = RunningSequence(
                order, choice: choice, state: try state(choice == count - 1), slot: engine.freeSlot(order.request),
                tokenizer: engine.tokenizer, open: open)
            if order.request.limit == 0 {
                engine.finish(sequence, .limit)
            } else {
                engine.start(sequence, from: logits)
            }
            if !sequence.isOver { engine.running.append(sequence) }
        }
    }

    // MARK: Scoring

    /// Scores all prompts as documents of one sequence.
    private func score(_ engine: SchedulingEngine, _ between: () throws -> Void) throws {
        let model = engine.model
        let prompts = orders.map(\.request.prompt)
        var starts: [Int] = []
        var tokens: [Int32] = []
        for prompt in prompts {
            starts.append(tokens.count)
            tokens += prompt
        }
        let hidden = try withoutActuallyEscaping(between) { between in
            try model.hidden([tokens], documents: Documents(starts), progress: between)
        }
        engine.statistics.promptTokens += tokens.count
        let rows = try hidden.reshaped([tokens.count, model.configuration.decoder.hiddenSize])
        // Nothing goes on from it: one token is picked at most.
        let unused = try model.makeState()
        var (document, scores) = (0, [TokenLikelihood]())
        try model.forEachLogits(rows) { row, logits in
            let (order, offset) = (orders[document], row - starts[document])
            if offset + 1 < prompts[document].count {
                let top = order.request.promptAlternatives ?? 0
                scores.append(
                    try engine.likelihoods.likelihood(of: prompts[document][offset + 1], in: logits, top: top))
            } else {
                try begin(engine, order, scores, logits) { _ in unused }
                (document, scores) = (document + 1, [])
            }
            if row % 32 == 31 { try between() }
        }
    }
}
